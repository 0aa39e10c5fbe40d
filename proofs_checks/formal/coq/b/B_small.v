(** B, continued: small gaps. KL is half of chi^2 up to a multiple of g^3, for every finite law. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas B Posterior.
Local Open Scope R_scope.

Lemma tie_kl_small_gap g f : Formulas.kl_small_gap g f = g ^ 2 / 4 * f.
Proof. unfold Formulas.kl_small_gap. field. Qed.

(** A function is 0 at 1 and its derivative has the sign of x - 1: it is not negative. *)
Lemma sign_up (f f' : R -> R) : f 1 = 0 -> (forall x, 0 < x -> is_derive f x (f' x)) ->
  (forall x, 0 < x -> (x <= 1 -> f' x <= 0) /\ (1 <= x -> 0 <= f' x)) -> forall x, 0 < x -> 0 <= f x.
Proof.
  intros F0 D S x Hx. destruct (MVT_gen f 1 x f') as [c [Hc Ec]].
  - intros t Ht. apply D. unfold Rmin in Ht. destruct (Rle_dec 1 x); lra.
  - intros t Ht. apply derivable_continuous_pt. exists (f' t). apply is_derive_Reals, D. unfold Rmin in Ht. destruct (Rle_dec 1 x); lra.
  - unfold Rmin, Rmax in Hc. destruct (Rle_dec 1 x).
    + destruct (S c ltac:(lra)) as [_ S2]. specialize (S2 ltac:(lra)). nra.
    + destruct (S c ltac:(lra)) as [S1 _]. specialize (S1 ltac:(lra)). nra.
Qed.

Lemma sign_odd (f f' : R -> R) : f 1 = 0 -> (forall x, 0 < x -> is_derive f x (f' x)) ->
  (forall x, 0 < x -> 0 <= f' x) -> forall x, 0 < x -> (x <= 1 -> f x <= 0) /\ (1 <= x -> 0 <= f x).
Proof.
  intros F0 D S x Hx. destruct (MVT_gen f 1 x f') as [c [Hc Ec]].
  - intros t Ht. apply D. unfold Rmin in Ht. destruct (Rle_dec 1 x); lra.
  - intros t Ht. apply derivable_continuous_pt. exists (f' t). apply is_derive_Reals, D. unfold Rmin in Ht. destruct (Rle_dec 1 x); lra.
  - assert (0 < c) by (unfold Rmin in Hc; destruct (Rle_dec 1 x); lra). specialize (S c H). split; intros; nra.
Qed.

Lemma xlnx_lower x : 0 < x -> (x - 1) + (x - 1) ^ 2 / 2 - (x - 1) ^ 3 / 6 <= x * ln x.
Proof.
  intros Hx. enough (0 <= x * ln x - (x - 1) - (x - 1) ^ 2 / 2 + (x - 1) ^ 3 / 6) by lra.
  apply (sign_up (fun x => x * ln x - (x - 1) - (x - 1) ^ 2 / 2 + (x - 1) ^ 3 / 6) (fun x => ln x - (x - 1) + (x - 1) ^ 2 / 2)); auto.
  - rewrite ln_1. field.
  - intros z Hz. auto_derive; [auto|]. field. lra.
  - apply (sign_odd (fun x => ln x - (x - 1) + (x - 1) ^ 2 / 2) (fun x => (x - 1) ^ 2 / x)).
    + rewrite ln_1. field.
    + intros z Hz. auto_derive; [auto|]. field. lra.
    + intros z Hz. apply Rdiv_le_0_compat; auto. apply pow2_ge_0.
Qed.

Lemma xlnx_upper x : 0 < x -> x * ln x <= (x - 1) + (x - 1) ^ 2 / 2 - (x - 1) ^ 3 / 6 + (x - 1) ^ 4 / 3.
Proof.
  intros Hx. assert (L : 0 <= (x - 1) - (x - 1) ^ 2 / 2 + (x - 1) ^ 3 / 3 - ln x).
  { apply (sign_up (fun x => (x - 1) - (x - 1) ^ 2 / 2 + (x - 1) ^ 3 / 3 - ln x) (fun x => (x - 1) ^ 3 / x)); auto.
    - rewrite ln_1. field.
    - intros z Hz. auto_derive; [auto|]. field. lra.
    - intros z Hz. replace ((z - 1) ^ 3 / z) with ((z - 1) * ((z - 1) ^ 2 / z)) by (field; lra).
      assert (0 <= (z - 1) ^ 2 / z) by (apply Rdiv_le_0_compat; auto; apply pow2_ge_0). split; intros; nra. }
  apply Rle_trans with (x * ((x - 1) - (x - 1) ^ 2 / 2 + (x - 1) ^ 3 / 3)); [apply Rmult_le_compat_l; lra|]. right. field.
Qed.

(** [|e^z - 1 - z| <= z^2 e^|z|] *)
Lemma exp_second z : Rabs (exp z - 1 - z) <= z ^ 2 * exp (Rabs z).
Proof.
  assert (L : 0 <= exp z - 1 - z) by (pose proof (exp_ge z); lra). rewrite Rabs_right by lra.
  assert (U : exp z - 1 <= z * exp z). { pose proof (exp_ge (- z)). pose proof (exp_pos z).
    assert (exp z * exp (- z) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0). nra. }
  destruct (Rle_dec 0 z).
  - rewrite Rabs_right by lra. assert (exp z - 1 - z <= z * (exp z - 1)) by lra. nra.
  - rewrite Rabs_left by lra. assert (z <= 0) by lra. assert (exp z - 1 >= z) by lra.
    assert (exp z - 1 - z <= z * (exp z - 1)) by lra. assert (z * (exp z - 1) <= z * z) by nra.
    assert (1 <= exp (- z)) by (rewrite <- exp_0; apply exp_le_mono; lra). nra.
Qed.

(** [|e^z - 1 - z - z^2/2| <= |z|^3 e^|z|] *)
Lemma exp_third z : Rabs (exp z - 1 - z - z ^ 2 / 2) <= Rabs z ^ 3 * exp (Rabs z).
Proof.
  destruct (MVT_gen (fun t => exp t - 1 - t - t ^ 2 / 2) 0 z (fun t => exp t - 1 - t)) as [c [Hc Ec]].
  - intros t _. auto_derive; auto. field.
  - intros t _. apply derivable_continuous_pt. exists (exp t - 1 - t). apply is_derive_Reals. auto_derive; auto. field.
  - replace (exp 0 - 1 - 0 - 0 ^ 2 / 2) with 0 in Ec by (rewrite exp_0; field).
    rewrite Rminus_0_r, Rminus_0_r in Ec. rewrite Ec, Rabs_mult.
    assert (Hcz : Rabs c <= Rabs z). { unfold Rmin, Rmax in Hc. destruct (Rle_dec 0 z); [rewrite !Rabs_right by lra; lra|rewrite (Rabs_left1 c), (Rabs_left z) by lra; lra]. }
    pose proof (Rabs_pos c). pose proof (Rabs_pos z).
    apply Rle_trans with (c ^ 2 * exp (Rabs c) * Rabs z); [apply Rmult_le_compat_r; auto; apply exp_second|].
    replace (Rabs z ^ 3 * exp (Rabs z)) with (Rabs z ^ 2 * exp (Rabs z) * Rabs z) by ring. apply Rmult_le_compat_r; auto.
    apply Rmult_le_compat; [apply pow2_ge_0|left; apply exp_pos| |apply exp_le_mono; auto]. rewrite <- (pow2_abs c). apply pow_incr. auto.
Qed.

Section Small_gaps.
Variables (d n : nat) (p : nat -> R) (y : nat -> vec).
Hypothesis Hw : weights n p.
Notation xi_ := (xi n p y).
Notation T := (trC d n p y).

(** The squared Frobenius norm of C, as the mean of [<xi, xi'>^2] over two independent draws *)
Definition frob2 : R := sumn n (fun i => sumn n (fun j => p i * p j * dot d (xi_ i) (xi_ j) ^ 2)).

(** The size of all shifts *)
Definition reach : R := sumn n (fun i => len d (xi_ i)) + sumn n (fun i => sq d (xi_ i)).
Definition far (u : vec) : R := reach * len d u + reach.
Definition cap (u : vec) : R := T + 2 * exp (2 * far u).

Lemma reach_nonneg : 0 <= reach.
Proof. unfold reach. assert (0 <= sumn n (fun i => len d (xi_ i))) by (apply sumn_nonneg; intros; apply len_nonneg).
  assert (0 <= sumn n (fun i => sq d (xi_ i))) by (apply sumn_nonneg; intros; apply sq_nonneg). lra. Qed.

Lemma mix_near g u : 0 <= g <= 1 -> Rabs (mix d n p (shift n p y g) u - 1) <= g * cap u.
Proof.
  intros Hg. set (s := sqrt g). assert (Hs : s * s = g) by (apply sqrt_sqrt; lra). assert (Hs0 : 0 <= s) by apply sqrt_pos.
  assert (Hs1 : s <= 1) by (unfold s; rewrite <- sqrt_1; apply sqrt_le_1_alt; lra). pose proof reach_nonneg as HR. pose proof (len_nonneg d u) as HL.
  set (z := fun i => dot d (shift n p y g i) u - sq d (shift n p y g i) / 2).
  assert (Hz : forall i, (i < n)%nat -> Rabs (z i) <= s * far u).
  { intros i Hi. unfold z. rewrite (sq_shift d n p y g (proj1 Hg)). unfold shift. rewrite dot_scal_l. fold s.
    assert (A : Rabs (dot d (xi_ i) u) <= len d (xi_ i) * len d u).
    { unfold dot. eapply Rle_trans; [apply sumn_abs|]. unfold len at 2. rewrite <- sumn_scal. apply sumn_le. intros k Hk. rewrite Rabs_mult.
      apply Rmult_le_compat_r; [apply Rabs_pos|]. apply (sumn_term d (fun k => Rabs (xi_ i k))); auto. intros; apply Rabs_pos. }
    assert (B1 : len d (xi_ i) <= reach). { unfold reach. assert (len d (xi_ i) <= sumn n (fun i => len d (xi_ i))) by (apply (sumn_term n (fun i => len d (xi_ i))); auto; intros; apply len_nonneg).
      assert (0 <= sumn n (fun i => sq d (xi_ i))) by (apply sumn_nonneg; intros; apply sq_nonneg). lra. }
    assert (B2 : sq d (xi_ i) <= reach). { unfold reach. assert (sq d (xi_ i) <= sumn n (fun i => sq d (xi_ i))) by (apply (sumn_term n (fun i => sq d (xi_ i))); auto; intros; apply sq_nonneg).
      assert (0 <= sumn n (fun i => len d (xi_ i))) by (apply sumn_nonneg; intros; apply len_nonneg). lra. }
    pose proof (sq_nonneg d (xi_ i)). rewrite <- Hs. unfold far.
    replace (s * dot d (xi_ i) u - s * s * sq d (xi_ i) / 2) with (s * (dot d (xi_ i) u - s * sq d (xi_ i) / 2)) by field.
    rewrite Rabs_mult, (Rabs_right s) by lra. apply Rmult_le_compat_l; auto. unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp.
    rewrite (Rabs_right (s * sq d (xi_ i) / 2)) by nra. apply Rplus_le_compat; [|nra].
    eapply Rle_trans; [exact A|]. apply Rmult_le_compat_r; auto. }
  assert (Hfar : 0 <= far u) by (unfold far; nra).
  assert (M : mix d n p (shift n p y g) u - 1 = - (g * T / 2) + sumn n (fun i => p i * (exp (z i) - 1 - z i))).
  { unfold mix. rewrite (sumn_ext n (fun i => p i * (exp (z i) - 1 - z i)) (fun i => p i * ratio d (shift n p y g i) u - p i - p i * z i)) by (intros; unfold z, ratio; ring).
    rewrite !sumn_minus, (proj2 Hw). unfold z.
    rewrite (sumn_ext n (fun i => p i * (dot d (shift n p y g i) u - sq d (shift n p y g i) / 2)) (fun i => p i * dot d (shift n p y g i) u - / 2 * (p i * sq d (shift n p y g i)))) by (intros; field).
    rewrite sumn_minus, sumn_scal, (dot_centred d n p y g Hw), (sum_sq_shift d n p y g (proj1 Hg)). field. }
  rewrite M. pose proof (trC_nonneg d n p y Hw) as HT. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, Rabs_right by nra.
  assert (S : Rabs (sumn n (fun i => p i * (exp (z i) - 1 - z i))) <= g * (2 * exp (2 * far u))).
  { eapply Rle_trans; [apply sumn_abs|]. apply Rle_trans with (sumn n (fun i => p i * (g * (2 * exp (2 * far u))))).
    - apply sumn_le. intros i Hi. rewrite Rabs_mult, (Rabs_right (p i)) by (apply Rle_ge, Hw; auto). apply Rmult_le_compat_l; [apply Hw; auto|].
      specialize (Hz i Hi). pose proof (Rabs_pos (z i)). eapply Rle_trans; [apply exp_second|].
      assert (Zf : Rabs (z i) <= far u) by nra.
      assert (z i ^ 2 <= g * far u ^ 2). { rewrite <- pow2_abs, <- Hs. replace (s * s * far u ^ 2) with ((s * far u) ^ 2) by ring. apply pow_incr. lra. }
      assert (exp (Rabs (z i)) <= exp (far u)) by (apply exp_le_mono; auto).
      assert (far u ^ 2 <= 2 * exp (far u)).
      { assert (E2 : 1 + far u + far u ^ 2 / 2 <= exp (far u)).
        { destruct (MVT_gen (fun t => exp t - 1 - t - t ^ 2 / 2) 0 (far u) (fun t => exp t - 1 - t)) as [c [Hc Ec]].
          - intros t _. auto_derive; auto. field.
          - intros t _. apply derivable_continuous_pt. exists (exp t - 1 - t). apply is_derive_Reals. auto_derive; auto. field.
          - replace (exp 0 - 1 - 0 - 0 ^ 2 / 2) with 0 in Ec by (rewrite exp_0; field). pose proof (exp_ge c). nra. }
        lra. }
      replace (2 * far u) with (far u + far u) by ring. rewrite exp_plus. pose proof (exp_pos (far u)). pose proof (exp_pos (Rabs (z i))).
      apply Rle_trans with (g * far u ^ 2 * exp (far u)); [apply Rmult_le_compat; auto; [apply pow2_ge_0|lra]|].
      replace (g * (2 * (exp (far u) * exp (far u)))) with (g * (2 * exp (far u)) * exp (far u)) by ring. apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_l; lra.
    - rewrite sumn_scal_r, (proj2 Hw). lra. }
  unfold cap. nra.
Qed.

Lemma tame_cap : tame d cap.
Proof.
  unfold cap. apply (tame_plus d (fun _ => T)); [apply tame_const|]. apply tame_scal, tame_exp, lip_scal.
  unfold far. apply lip_plus; [apply lip_scal, lip_len|apply lip_const].
Qed.

Lemma tame_pow f k : tame d f -> tame d (fun u => f u ^ k).
Proof. intros Hf. induction k; [apply (tame_const d 1)|]. apply (tame_mult d f (fun u => f u ^ k)); auto. Qed.

(** KL is half of chi^2, up to a multiple of g^3. *)
Definition slack : R := E d (fun u => cap u ^ 3) / 6 + E d (fun u => cap u ^ 4) / 3.

Theorem B6_half_chi2 g : 0 <= g <= 1 -> Rabs (KL d n p (shift n p y g) - chi2 d n p (shift n p y g) / 2) <= slack * g ^ 3.
Proof.
  intros Hg. set (r := mix d n p (shift n p y g)). assert (Tr : tame d r) by apply tame_mix.
  assert (Td : tame d (fun u => r u - 1)) by (apply tame_minus; auto; apply tame_const).
  assert (Tk : forall k, tame d (fun u => (r u - 1) ^ k)) by (intros; apply (tame_pow (fun u => r u - 1)); auto).
  assert (Tc : forall k, tame d (fun u => cap u ^ k)) by (intros; apply tame_pow, tame_cap).
  assert (Tl : tame d (fun u => r u * ln (r u))) by (apply tame_mult; auto; apply tame_ln_mix; auto).
  assert (E1' : E d (fun u => r u - 1) = 0) by (rewrite E_minus, E_const; [unfold r; rewrite E_mix_1; auto; ring|auto|apply tame_const]).
  assert (Cap : forall u, 0 <= cap u) by (intros; unfold cap; pose proof (trC_nonneg d n p y Hw); pose proof (exp_pos (2 * far u)); lra).
  assert (B3 : forall u, Rabs ((r u - 1) ^ 3) <= g ^ 3 * cap u ^ 3).
  { intros u. rewrite <- RPow_abs, <- Rpow_mult_distr. apply pow_incr. split; [apply Rabs_pos|apply mix_near; auto]. }
  assert (B4 : forall u, (r u - 1) ^ 4 <= g ^ 3 * cap u ^ 4).
  { intros u. apply Rle_trans with (g ^ 4 * cap u ^ 4).
    - replace ((r u - 1) ^ 4) with (Rabs (r u - 1) ^ 4); [rewrite <- Rpow_mult_distr; apply pow_incr; split; [apply Rabs_pos|apply mix_near; auto]|].
      replace (Rabs (r u - 1) ^ 4) with ((Rabs (r u - 1) ^ 2) ^ 2) by ring. rewrite pow2_abs. ring.
    - assert (0 <= cap u ^ 4) by (apply pow_le; auto). assert (0 <= g ^ 3) by (apply pow_le; lra). apply Rmult_le_compat_r; auto. simpl in *. nra. }
  assert (C2 : E d (fun u => (r u - 1) ^ 2) = chi2 d n p (shift n p y g)) by reflexivity.
  apply Rabs_le. unfold slack. set (K3 := E d (fun u => cap u ^ 3)) in *. set (K4 := E d (fun u => cap u ^ 4)) in *.
  assert (K40 : 0 <= K4) by (unfold K4; rewrite <- (E_const d 0); apply E_le; auto; [apply tame_const|intros; apply pow_le; auto]).
  assert (K30 : 0 <= K3) by (unfold K3; rewrite <- (E_const d 0); apply E_le; auto; [apply tame_const|intros; apply pow_le; auto]).
  assert (G3 : 0 <= g ^ 3) by (apply pow_le; lra).
  assert (P : forall u, 0 < r u) by (intros; apply mix_pos; auto).
  split.
  - assert (E d (fun u => (r u - 1) + / 2 * (r u - 1) ^ 2 - g ^ 3 / 6 * cap u ^ 3) <= KL d n p (shift n p y g)).
    { apply E_le; auto; [apply tame_minus; [apply tame_plus; auto; apply tame_scal; auto|apply tame_scal; auto]|].
      intros u. pose proof (xlnx_lower (r u) (P u)). specialize (B3 u). apply Rabs_le_between in B3. change (mix d n p (shift n p y g) u) with (r u). lra. }
    rewrite E_minus, E_plus, !E_scal, E1', C2 in H; auto; try (apply tame_scal; auto); [|apply tame_plus; auto; apply tame_scal; auto].
    fold K3 in H. nra.
  - assert (KL d n p (shift n p y g) <= E d (fun u => (r u - 1) + / 2 * (r u - 1) ^ 2 + (g ^ 3 / 6 * cap u ^ 3 + g ^ 3 / 3 * cap u ^ 4))).
    { apply E_le; auto; [apply tame_plus; [apply tame_plus; auto; apply tame_scal; auto|apply tame_plus; apply tame_scal; auto]|].
      intros u. pose proof (xlnx_upper (r u) (P u)). specialize (B3 u). specialize (B4 u). apply Rabs_le_between in B3. change (mix d n p (shift n p y g) u) with (r u). lra. }
    rewrite E_plus, E_plus, E_plus, !E_scal, E1', C2 in H; auto; try (apply tame_scal; auto);
      [|apply tame_plus; auto; apply tame_scal; auto|apply tame_plus; apply tame_scal; auto].
    fold K3 K4 in H. nra.
Qed.

(** chi^2 to leading order *)
Definition chi_slack : R := sumn n (fun i => sumn n (fun j => p i * p j * (Rabs (dot d (xi_ i) (xi_ j)) ^ 3 * exp (Rabs (dot d (xi_ i) (xi_ j)))))).

Lemma chi2_leading g : 0 <= g <= 1 -> Rabs (chi2 d n p (shift n p y g) - g ^ 2 / 2 * frob2) <= chi_slack * g ^ 3.
Proof.
  intros Hg. rewrite (B1_chi2 d n p y g Hw (proj1 Hg)). set (a := fun i j => dot d (xi_ i) (xi_ j)).
  assert (Z : sumn n (fun i => sumn n (fun j => p i * p j * a i j)) = 0).
  { apply sumn_zero. intros i _. rewrite (sumn_ext n _ (fun j => p i * (p j * dot d (xi_ j) (xi_ i)))) by (intros; unfold a; rewrite dot_comm; ring).
    rewrite sumn_scal. replace (sumn n (fun j => p j * dot d (xi_ j) (xi_ i))) with 0; [ring|].
    symmetry. rewrite (sumn_ext n _ (fun j => sumn d (fun k => xi_ i k * (p j * xi_ j k)))) by (intros; unfold dot; rewrite <- sumn_scal; apply sumn_ext; intros; ring).
    rewrite sumn_swap. apply sumn_zero. intros k _. rewrite sumn_scal, (xi_centred n p y Hw). ring. }
  assert (O : sumn n (fun i => sumn n (fun j => p i * p j)) = 1).
  { rewrite (sumn_ext n _ p); [apply Hw|]. intros i _. rewrite sumn_scal, (proj2 Hw). ring. }
  assert (X : sumn n (fun i => sumn n (fun j => p i * p j * exp (g * a i j))) - 1 - g ^ 2 / 2 * frob2
     = sumn n (fun i => sumn n (fun j => p i * p j * (exp (g * a i j) - 1 - g * a i j - (g * a i j) ^ 2 / 2)))).
  { rewrite (sumn_ext n (fun i => sumn n (fun j => p i * p j * (exp (g * a i j) - 1 - g * a i j - (g * a i j) ^ 2 / 2)))
      (fun i => sumn n (fun j => p i * p j * exp (g * a i j)) - sumn n (fun j => p i * p j) - g * sumn n (fun j => p i * p j * a i j) - g ^ 2 / 2 * sumn n (fun j => p i * p j * a i j ^ 2))).
    - rewrite !sumn_minus, !sumn_scal, O, Z. unfold frob2. fold a. unfold a. ring.
    - intros i _. rewrite <- !sumn_scal, <- !sumn_minus. apply sumn_ext. intros j _. field. }
  fold a in X |- *. change (fun i => sumn n (fun j => p i * p j * exp (g * dot d (xi_ i) (xi_ j)))) with (fun i => sumn n (fun j => p i * p j * exp (g * a i j))).
  rewrite X. unfold chi_slack. fold a. rewrite <- sumn_scal_r. eapply Rle_trans; [apply sumn_abs|]. apply sumn_le. intros i Hi.
  rewrite <- sumn_scal_r. eapply Rle_trans; [apply sumn_abs|]. apply sumn_le. intros j Hj.
  assert (0 <= p i * p j) by (apply Rmult_le_pos; apply Hw; auto). rewrite Rabs_mult, (Rabs_right (p i * p j)) by lra. rewrite (Rmult_assoc (p i * p j)). apply Rmult_le_compat_l; auto.
  change (dot d (xi_ i) (xi_ j)) with (a i j).
  eapply Rle_trans; [apply exp_third|]. rewrite Rabs_mult, (Rabs_right g) by lra. rewrite Rpow_mult_distr.
  assert (exp (g * Rabs (a i j)) <= exp (Rabs (a i j))) by (apply exp_le_mono; pose proof (Rabs_pos (a i j)); nra).
  assert (0 <= Rabs (a i j) ^ 3) by (apply pow_le, Rabs_pos). assert (0 <= g ^ 3) by (apply pow_le; lra).
  replace (Rabs (a i j) ^ 3 * exp (Rabs (a i j)) * g ^ 3) with (g ^ 3 * Rabs (a i j) ^ 3 * exp (Rabs (a i j))) by ring. apply Rmult_le_compat_l; auto.
  apply Rmult_le_pos; auto.
Qed.

(** KL to leading order: the rest is O(g^3). *)
Theorem B6_leading : exists K, forall g, 0 <= g <= 1 -> Rabs (KL d n p (shift n p y g) - Formulas.kl_small_gap g frob2) <= K * g ^ 3.
Proof.
  exists (slack + chi_slack / 2). intros g Hg. rewrite tie_kl_small_gap. pose proof (B6_half_chi2 g Hg) as A. pose proof (chi2_leading g Hg) as B.
  apply Rabs_le_between in A. apply Rabs_le_between in B. apply Rabs_le. lra.
Qed.

(** So B2's bound on KL is twice the truth as g tends to 0. *)
Lemma flim_rate (f : R -> R) L K : (forall g, 0 < g <= 1 -> Rabs (f g - L) <= K * g) -> filterlim f (at_right 0) (locally L).
Proof.
  intros H P [eps HP]. assert (HK : 0 < eps / (Rabs K + 1)) by (apply Rdiv_lt_0_compat; [apply cond_pos|pose proof (Rabs_pos K); lra]).
  assert (Hm : 0 < Rmin 1 (eps / (Rabs K + 1))) by (apply Rmin_pos; lra).
  exists (mkposreal _ Hm). intros g Hg H0. change (Rabs (g - 0) < Rmin 1 (eps / (Rabs K + 1))) in Hg. rewrite Rminus_0_r, Rabs_right in Hg by lra.
  pose proof (Rmin_l 1 (eps / (Rabs K + 1))). pose proof (Rmin_r 1 (eps / (Rabs K + 1))). apply HP. change (Rabs (f g - L) < eps).
  eapply Rle_lt_trans; [apply H; lra|]. pose proof (Rle_abs K). pose proof (Rabs_pos K).
  assert (g * (Rabs K + 1) < eps). { apply Rlt_le_trans with (eps / (Rabs K + 1) * (Rabs K + 1)); [apply Rmult_lt_compat_r; lra|right; field; lra]. }
  nra.
Qed.

Theorem B2_twice : 0 < frob2 ->
  filterlim (fun g => Formulas.kl_chi2_bound (chi2 d n p (shift n p y g)) / KL d n p (shift n p y g)) (at_right 0) (locally 2).
Proof.
  intros Hf. set (X := fun g => chi2 d n p (shift n p y g)). set (N := fun g => KL d n p (shift n p y g)).
  assert (X0 : forall g, 0 <= X g).
  { intros g. unfold X, chi2. rewrite <- (E_const d 0). apply E_le; [apply tame_const|apply (tame_chi d n p)|intros; apply pow2_ge_0]. }
  assert (Xb : forall g, 0 <= g <= 1 -> Rabs (X g - g ^ 2 / 2 * frob2) <= chi_slack * g ^ 3) by (intros; apply chi2_leading; auto).
  assert (CS : 0 <= chi_slack).
  { apply sumn_nonneg. intros i Hi. apply sumn_nonneg. intros j Hj. apply Rmult_le_pos; [apply Rmult_le_pos; apply Hw; auto|].
    apply Rmult_le_pos; [apply pow_le, Rabs_pos|left; apply exp_pos]. }
  set (C := frob2 / 2 + chi_slack). assert (HC : 0 <= C) by (unfold C; lra).
  assert (X2 : forall g, 0 <= g <= 1 -> X g <= C * g ^ 2).
  { intros g Hg. specialize (Xb g Hg). apply Rabs_le_between in Xb. assert (g ^ 3 <= g ^ 2) by (simpl; nra). unfold C. nra. }
  assert (L1 : filterlim (fun g => ln (1 + X g) / g ^ 2) (at_right 0) (locally (frob2 / 2))).
  { apply (flim_rate _ _ (chi_slack + C * C)). intros g Hg. assert (Hg' : 0 <= g <= 1) by lra. assert (G2 : 0 < g ^ 2) by (apply pow_lt; lra).
    specialize (Xb g Hg'). apply Rabs_le_between in Xb. specialize (X2 g Hg'). specialize (X0 g).
    assert (U : ln (1 + X g) <= X g) by (pose proof (ln_le_sub (1 + X g)); lra).
    assert (Lo : X g - X g * X g <= ln (1 + X g)).
    { assert (I : ln (/ (1 + X g)) <= / (1 + X g) - 1) by (apply ln_le_sub, Rinv_0_lt_compat; lra). rewrite ln_Rinv in I by lra.
      assert (/ (1 + X g) <= 1 - X g + X g * X g). { apply Rmult_le_reg_r with (1 + X g); [lra|]. rewrite Rinv_l by lra. assert (0 <= X g * X g * X g) by (repeat apply Rmult_le_pos; lra). nra. }
      lra. }
    assert (Q : X g * X g <= C * C * g ^ 3).
    { apply Rle_trans with (C * g ^ 2 * (C * g ^ 2)); [apply Rmult_le_compat; lra|]. assert (g ^ 2 * g ^ 2 <= g ^ 3) by (simpl; nra).
      replace (C * g ^ 2 * (C * g ^ 2)) with (C * C * (g ^ 2 * g ^ 2)) by ring. apply Rmult_le_compat_l; auto. apply Rmult_le_pos; auto. }
    apply Rabs_le. assert (E3 : g ^ 3 = g * g ^ 2) by ring. rewrite E3 in *.
    split; apply Rmult_le_reg_r with (g ^ 2); auto;
      replace ((ln (1 + X g) / g ^ 2 - frob2 / 2) * g ^ 2) with (ln (1 + X g) - g ^ 2 / 2 * frob2) by (field; lra); nra. }
  assert (L2 : filterlim (fun g => N g / g ^ 2) (at_right 0) (locally (frob2 / 4))).
  { destruct B6_leading as [K HK]. apply (flim_rate _ _ K). intros g Hg. assert (G2 : 0 < g ^ 2) by (apply pow_lt; lra). specialize (HK g ltac:(lra)).
    rewrite tie_kl_small_gap in HK. fold (N g) in HK. apply Rabs_le_between in HK. assert (E3 : g ^ 3 = g * g ^ 2) by ring. rewrite E3 in HK.
    apply Rabs_le. split; apply Rmult_le_reg_r with (g ^ 2); auto; replace ((N g / g ^ 2 - frob2 / 4) * g ^ 2) with (N g - g ^ 2 / 4 * frob2) by (field; lra); nra. }
  apply (flim_eq (at_right 0) (fun g => (ln (1 + X g) / g ^ 2) / (N g / g ^ 2)) _ ((frob2 / 2) / (frob2 / 4))).
  - exists (mkposreal 1 Rlt_0_1). intros g _ Hg. rewrite tie_kl_chi2_bound. fold (X g) (N g). assert (g ^ 2 <> 0) by (apply pow_nonzero; lra).
    destruct (Req_dec (N g) 0) as [Z|Z]; [rewrite Z; unfold Rdiv; rewrite Rmult_0_l, Rinv_0; ring|field; split; [auto|lra]].
  - field. lra.
  - apply (flim_div (at_right 0)); auto. lra.
Qed.

(** C5's leading order is this at [g = snr_s] of the prior (A5). *)
Theorem C5_leading : exists K, forall snr, 0 <= snr <= 1 -> Rabs (KL d n p (shift n p y snr) - Formulas.kl_small_gap snr frob2) <= K * snr ^ 3.
Proof. exact B6_leading. Qed.

(** The mean of [<xi, xi'>^2] is the squared Frobenius norm of the covariance. *)
Theorem B6_frobenius : frob2 = sumn d (fun k => sumn d (fun l => (sumn n (fun i => p i * (xi_ i k * xi_ i l))) ^ 2)).
Proof.
  unfold frob2.
  rewrite (sumn_ext n _ (fun i => sumn n (fun j => sumn d (fun k => sumn d (fun l => (p i * (xi_ i k * xi_ i l)) * (p j * (xi_ j k * xi_ j l))))))).
  - rewrite (sumn_ext n _ (fun i => sumn d (fun k => sumn d (fun l => (p i * (xi_ i k * xi_ i l)) * sumn n (fun j => p j * (xi_ j k * xi_ j l)))))).
    + rewrite sumn_swap. apply sumn_ext. intros k _. rewrite sumn_swap. apply sumn_ext. intros l _. rewrite sumn_scal_r. ring.
    + intros i _. rewrite sumn_swap. apply sumn_ext. intros k _. rewrite sumn_swap. apply sumn_ext. intros l _. apply sumn_scal.
  - intros i _. apply sumn_ext. intros j _. replace (dot d (xi_ i) (xi_ j) ^ 2) with (dot d (xi_ i) (xi_ j) * dot d (xi_ i) (xi_ j)) by ring.
    unfold dot at 1. rewrite <- sumn_scal_r, <- sumn_scal. apply sumn_ext. intros k _. unfold dot. rewrite <- !sumn_scal. apply sumn_ext. intros l _. ring.
Qed.

End Small_gaps.
