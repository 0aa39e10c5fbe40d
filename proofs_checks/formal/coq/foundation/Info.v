(** B4. KL through information: the derivative of KL in the gap is half of what the observation explains (I-MMSE), for every finite law in
    every dimension.

    With [s = sqrt g] the law P of the coordinate u has the ratio [rt s u = sum_i p_i exp(s <xi_i,u> - s^2 |xi_i|^2/2)]; [mmse d n p xi s] is the
    mean squared error of the posterior mean of xi given u (D_time.v). Steps: translation of the Gaussian integral, derivatives under it with
    an error that is quadratic in the increment, and the fundamental theorem. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas B D_time B_small Translate.
Local Open Scope R_scope.

Section Information.
Variables (d n : nat) (p : nat -> R) (y : nat -> vec).
Hypothesis Hw : weights n p.
Notation xi_ := (xi n p y).
Notation T := (trC d n p y).
Notation mu s := (fun i => vscal s (xi_ i)).
Notation rt s := (mix d n p (mu s)).

(** The posterior mean of xi given u, and what it explains *)
Notation xhat s := (hat d n p xi_ s).
Definition explained (s : R) : R := E d (fun u => rt s u * sq d (xhat s u)).

Lemma tame_rt s : tame d (rt s).
Proof. apply tame_mix. Qed.

Lemma tame_explained s : tame d (fun u => rt s u * sq d (xhat s u)).
Proof.
  apply tame_mult; [apply tame_mix|]. apply (tame_sum d d (fun k u => xhat s u k * xhat s u k)). intros k _.
  apply (tame_mult d (fun u => xhat s u k) (fun u => xhat s u k)); apply tame_hat; auto.
Qed.

Lemma post_sum s u : sumn n (fun i => post d n p xi_ s i u) = 1.
Proof.
  unfold post. rewrite (sumn_ext n _ (fun i => p i * ratio d (at_r xi_ s i) u * / mix d n p (at_r xi_ s) u)) by (intros; auto).
  rewrite sumn_scal_r. change (sumn n (fun i => p i * ratio d (at_r xi_ s i) u)) with (mix d n p (at_r xi_ s) u).
  apply Rinv_r. apply Rgt_not_eq, mix_pos; auto.
Qed.

Lemma post_nonneg s u i : (i < n)%nat -> 0 <= post d n p xi_ s i u.
Proof.
  intros Hi. unfold post. apply Rdiv_le_0_compat; [apply Rmult_le_pos; [apply Hw; auto|left; apply ratio_pos]|apply mix_pos; auto].
Qed.

Lemma rt_post s u i : p i * ratio d (mu s i) u = rt s u * post d n p xi_ s i u.
Proof. unfold post. change (at_r xi_ s) with (mu s). cbv beta. field. apply Rgt_not_eq, mix_pos; auto. Qed.

(** The error is the trace less what is explained. *)
Theorem mmse_explained s : mmse d n p xi_ s = T - explained s.
Proof.
  unfold mmse, Ejoint, explained. change (at_r xi_ s) with (mu s). cbv beta.
  assert (X : forall u, sumn n (fun i => p i * ratio d (mu s i) u * sq d (vminus (xi_ i) (xhat s u)))
    = sumn n (fun i => sq d (xi_ i) * (p i * ratio d (mu s i) u)) - rt s u * sq d (xhat s u)).
  { intros u. rewrite (sumn_ext n _ (fun i => sq d (xi_ i) * (p i * ratio d (mu s i) u)
       - 2 * rt s u * sumn d (fun k => xhat s u k * (post d n p xi_ s i u * xi_ i k)) + sq d (xhat s u) * rt s u * post d n p xi_ s i u)).
    - rewrite sumn_plus, sumn_minus, sumn_scal, sumn_scal, post_sum, sumn_swap.
      rewrite (sumn_ext d _ (fun k => xhat s u k * xhat s u k)) by (intros; rewrite sumn_scal; reflexivity). unfold sq, dot. ring.
    - intros i _. rewrite rt_post, sq_minus. unfold dot at 1. rewrite (sumn_ext d (fun k => xhat s u k * _) (fun k => post d n p xi_ s i u * (xi_ i k * xhat s u k))) by (intros; ring).
      rewrite sumn_scal. unfold dot. ring. }
  rewrite (E_ext d _ _ X), E_minus; [|apply (tame_sum d n (fun i u => sq d (xi_ i) * (p i * ratio d (mu s i) u))); intros; apply tame_scal, tame_scal, tame_ratio|apply tame_explained].
  f_equal. rewrite (E_sum d n (fun i u => sq d (xi_ i) * (p i * ratio d (mu s i) u))) by (intros; apply tame_scal, tame_scal, tame_ratio).
  unfold trC. apply sumn_ext. intros i _. rewrite E_scal, E_scal, E_ratio by (try apply tame_scal; apply tame_ratio). ring.
Qed.

(** ** The derivative of KL in s *)

Definition H (s : R) : R := KL d n p (mu s).
Definition Jlog (s0 s : R) : R := E d (fun u => rt s u * ln (rt s0 u)).

(** A bound of all inner products of two points *)
Definition spread : R := sumn n (fun i => len d (xi_ i)).
Lemma spread_nonneg : 0 <= spread.
Proof. apply sumn_nonneg. intros; apply len_nonneg. Qed.
Lemma len_spread i : (i < n)%nat -> len d (xi_ i) <= spread.
Proof. intros. apply (sumn_term n (fun i => len d (xi_ i))); auto. intros; apply len_nonneg. Qed.

Lemma log_second s i u t h : (i < n)%nat -> Rabs h <= 1 ->
  let M := Rabs s * spread ^ 2 in
  Rabs (ln (rt s (vplus u (vscal (t + h) (xi_ i)))) - ln (rt s (vplus u (vscal t (xi_ i)))) - h * (s * dot d (xi_ i) (xhat s (vplus u (vscal t (xi_ i))))))
  <= h ^ 2 * ((2 * M) ^ 2 * exp (2 * M)).
Proof.
  intros Hi Hh M. set (v := vplus u (vscal t (xi_ i))).
  assert (Ev : vplus u (vscal (t + h) (xi_ i)) = vplus v (vscal h (xi_ i))) by (apply functional_extensionality; intros k; unfold v, vplus, vscal; ring).
  rewrite Ev. set (f := fun j => s * dot d (xi_ j) (xi_ i)).
  assert (Hp := mix_pos d n p (mu s) v Hw).
  assert (R1 : rt s (vplus v (vscal h (xi_ i))) = rt s v * sumn n (fun j => post d n p xi_ s j v * exp (h * f j))).
  { rewrite <- sumn_scal. unfold mix at 1. apply sumn_ext. intros j _. rewrite <- Rmult_assoc, <- rt_post, Rmult_assoc. f_equal.
    unfold ratio. rewrite <- exp_plus. f_equal. unfold f. rewrite dot_plus_r, dot_scal_r, !dot_scal_l. ring. }
  assert (Q : weights n (fun j => post d n p xi_ s j v)) by (split; [intros; apply post_nonneg; auto|apply post_sum]).
  assert (HM : forall j, (j < n)%nat -> Rabs (f j) <= M).
  { intros j Hj. unfold f, M. rewrite Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|]. eapply Rle_trans; [apply Rabs_sum_dot|].
    replace (spread ^ 2) with (spread * spread) by ring. apply Rmult_le_compat; try apply len_nonneg; apply len_spread; auto. }
  assert (Sp : 0 < sumn n (fun j => post d n p xi_ s j v * exp (h * f j))).
  { destruct (sumn_some_pos n _ (proj1 Q)) as (k & Hk & Hpk); [rewrite (proj2 Q); lra|]. apply sumn_pos.
    - intros j Hj. apply Rmult_le_pos; [apply Q; auto|left; apply exp_pos].
    - exists k. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos. }
  rewrite R1, ln_mult by auto. pose proof (lse_second n _ f M h Q HM Hh) as L.
  replace (s * dot d (xi_ i) (xhat s v)) with (sumn n (fun j => post d n p xi_ s j v * f j)).
  - match goal with |- Rabs ?a <= _ => match type of L with Rabs ?b <= _ => replace a with b by ring end end. exact L.
  - unfold f. rewrite (sumn_ext n _ (fun j => s * sumn d (fun k => xi_ i k * (post d n p xi_ s j v * xi_ j k)))).
    + rewrite sumn_scal, sumn_swap. f_equal. unfold dot, hat. apply sumn_ext. intros k _. rewrite sumn_scal. auto.
    + intros j _. unfold dot. rewrite <- !sumn_scal. apply sumn_ext. intros; ring.
Qed.

Lemma tame_xhat_dot s a : tame d (fun u => dot d a (xhat s u)).
Proof. apply (tame_sum d d (fun k u => a k * xhat s u k)). intros k _. apply tame_scal, tame_hat; auto. Qed.

Lemma derive_Jlog s : is_derive (Jlog s) s (s * explained s).
Proof.
  assert (Tl : tame d (fun u => ln (rt s u))) by (apply tame_ln_mix; auto).
  set (M := Rabs s * spread ^ 2). set (K := (2 * M) ^ 2 * exp (2 * M)).
  (* the expectation of each component, moved to N(0, I) *)
  assert (J : forall t, Jlog s t = sumn n (fun i => p i * E d (fun u => ln (rt s (vplus u (vscal t (xi_ i))))))).
  { intros t. unfold Jlog. rewrite E_mix by auto. apply sumn_ext. intros i _. f_equal. apply (E_translate d (vscal t (xi_ i)) (fun u => ln (rt s u)) Tl). }
  apply (derive_quadratic _ s _ K). intros h Hh. rewrite !J.
  replace (s * explained s) with (sumn n (fun i => p i * E d (fun u => s * dot d (xi_ i) (xhat s (vplus u (vscal s (xi_ i))))))).
  2:{ unfold explained. rewrite (E_ext d _ (fun u => sumn n (fun i => p i * (ratio d (vscal s (xi_ i)) u * dot d (xi_ i) (xhat s u))))).
      - rewrite E_sum by (intros; apply tame_scal, tame_mult; [apply tame_ratio|apply tame_xhat_dot]).
        rewrite <- sumn_scal. apply sumn_ext. intros i _. rewrite !E_scal.
        + rewrite (E_translate d (vscal s (xi_ i)) (fun u => dot d (xi_ i) (xhat s u)) (tame_xhat_dot s (xi_ i))). ring.
        + apply tame_mult; [apply tame_ratio|apply tame_xhat_dot].
        + apply (tame_translate d (vscal s (xi_ i)) (fun u => dot d (xi_ i) (xhat s u))), tame_xhat_dot.
      - intros u. rewrite (sumn_ext n _ (fun i => rt s u * sumn d (fun k => xhat s u k * (post d n p xi_ s i u * xi_ i k)))).
        + rewrite sumn_scal, sumn_swap. f_equal. unfold sq, dot. apply sumn_ext. intros k _. rewrite sumn_scal. auto.
        + intros i _. rewrite <- Rmult_assoc, rt_post. unfold dot. rewrite Rmult_assoc, <- sumn_scal. f_equal. apply sumn_ext. intros; ring. }
  rewrite <- sumn_scal, <- !sumn_minus. eapply Rle_trans; [apply sumn_abs|].
  apply Rle_trans with (sumn n (fun i => p i * (h ^ 2 * K))); [|rewrite sumn_scal_r, (proj2 Hw); lra].
  apply sumn_le. intros i Hi.
  assert (T1 : forall t, tame d (fun u => ln (rt s (vplus u (vscal t (xi_ i)))))) by (intros t; apply (tame_translate d (vscal t (xi_ i)) (fun u => ln (rt s u)) Tl)).
  assert (T2 : tame d (fun u => s * dot d (xi_ i) (xhat s (vplus u (vscal s (xi_ i)))))).
  { apply tame_scal. apply (tame_translate d (vscal s (xi_ i)) (fun u => dot d (xi_ i) (xhat s u))), tame_xhat_dot. }
  match goal with |- Rabs (p i * ?a - p i * ?b - h * (p i * ?c)) <= _ => replace (p i * a - p i * b - h * (p i * c)) with (p i * (a - b - h * c)) by ring end.
  rewrite Rabs_mult, (Rabs_right (p i)) by (apply Rle_ge, Hw; auto). apply Rmult_le_compat_l; [apply Hw; auto|].
  rewrite <- E_minus, <- E_scal, <- E_minus by (auto; try apply tame_minus; auto; apply tame_scal; auto).
  rewrite <- (E_const d (h ^ 2 * K)). apply E_abs_le; [apply tame_minus; [apply tame_minus; auto|apply tame_scal; auto]|apply tame_const|].
  intros u. apply (log_second s i u s h Hi Hh).
Qed.

(** How far the ratio moves with s *)
Definition pace (s : R) (u : vec) : R := let B := spread * len d u + (2 * Rabs s + 1) * spread ^ 2 in B * exp ((Rabs s + 1) * (spread * len d u)).

Lemma sq_len v : sq d v <= len d v * len d v.
Proof. eapply Rle_trans; [apply Rle_abs|]. apply Rabs_sum_dot. Qed.

Lemma tame_pace s : tame d (pace s).
Proof.
  unfold pace. apply (tame_mult d (fun u => spread * len d u + (2 * Rabs s + 1) * spread ^ 2)).
  - apply tame_plus; [apply tame_scal, lip_tame, lip_len|apply tame_const].
  - apply tame_exp, lip_scal, lip_scal, lip_len.
Qed.

Lemma pace_nonneg s u : 0 <= pace s u.
Proof.
  unfold pace. pose proof spread_nonneg. pose proof (len_nonneg d u). pose proof (Rabs_pos s). apply Rmult_le_pos; [|left; apply exp_pos].
  assert (0 <= spread ^ 2) by apply pow2_ge_0. apply Rplus_le_le_0_compat; apply Rmult_le_pos; lra.
Qed.

Lemma ratio_moves s h i u : (i < n)%nat -> Rabs h <= 1 -> Rabs (ratio d (mu (s + h) i) u - ratio d (mu s i) u) <= Rabs h * (2 * pace s u).
Proof.
  intros Hi Hh. unfold ratio. rewrite !dot_scal_l, !sq_scal. set (a := dot d (xi_ i) u). set (q := sq d (xi_ i)).
  assert (Ha : Rabs a <= spread * len d u). { eapply Rle_trans; [apply Rabs_sum_dot|]. apply Rmult_le_compat_r; [apply len_nonneg|apply len_spread; auto]. }
  assert (Hq : 0 <= q <= spread ^ 2). { split; [apply sq_nonneg|]. eapply Rle_trans; [apply sq_len|]. pose proof (len_spread i Hi). pose proof (len_nonneg d (xi_ i)). nra. }
  pose proof (Rabs_pos s) as S0. pose proof (Rabs_pos h) as H0. pose proof (Rabs_pos a) as A0.
  eapply Rle_trans; [apply exp_diff|].
  assert (D : Rabs ((s + h) * a - (s + h) * (s + h) * q / 2 - (s * a - s * s * q / 2)) <= Rabs h * (spread * len d u + (2 * Rabs s + 1) * spread ^ 2)).
  { replace ((s + h) * a - (s + h) * (s + h) * q / 2 - (s * a - s * s * q / 2)) with (h * (a - (s + h / 2) * q)) by field. rewrite Rabs_mult.
    apply Rmult_le_compat_l; auto. unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, Rabs_mult, (Rabs_right q) by lra.
    assert (Rabs (s + h / 2) <= 2 * Rabs s + 1). { eapply Rle_trans; [apply Rabs_triang|]. unfold Rdiv. rewrite Rabs_mult, (Rabs_right (/ 2)) by lra. lra. }
    apply Rplus_le_compat; auto. apply Rmult_le_compat; try lra. apply Rabs_pos. }
  assert (X : forall t, Rabs t <= Rabs s + 1 -> exp (t * a - t * t * q / 2) <= exp ((Rabs s + 1) * (spread * len d u))).
  { intros t Ht. apply exp_le_mono. assert (0 <= t * t * q) by (apply Rmult_le_pos; [nra|lra]). assert (t * a <= Rabs t * Rabs a) by (rewrite <- Rabs_mult; apply Rle_abs).
    pose proof (Rabs_pos t). assert (Rabs t * Rabs a <= (Rabs s + 1) * (spread * len d u)) by (apply Rmult_le_compat; auto). lra. }
  unfold pace. set (Bp := spread * len d u + (2 * Rabs s + 1) * spread ^ 2) in *.
  replace (Rabs h * (2 * (Bp * exp ((Rabs s + 1) * (spread * len d u))))) with (Rabs h * Bp * (2 * exp ((Rabs s + 1) * (spread * len d u)))) by ring.
  apply Rmult_le_compat; [apply Rabs_pos| |exact D|].
  - pose proof (exp_pos ((s + h) * a - (s + h) * (s + h) * q / 2)). pose proof (exp_pos (s * a - s * s * q / 2)). lra.
  - assert (exp ((s + h) * a - (s + h) * (s + h) * q / 2) <= exp ((Rabs s + 1) * (spread * len d u))) by (apply X; eapply Rle_trans; [apply Rabs_triang|]; lra).
    assert (exp (s * a - s * s * q / 2) <= exp ((Rabs s + 1) * (spread * len d u))) by (apply X; lra). lra.
Qed.

Lemma sum_moves s h u (c : nat -> R) B : Rabs h <= 1 -> (forall i, (i < n)%nat -> Rabs (c i) <= B) ->
  Rabs (sumn n (fun i => p i * ratio d (mu (s + h) i) u * c i) - sumn n (fun i => p i * ratio d (mu s i) u * c i)) <= Rabs h * (2 * pace s u) * B.
Proof.
  intros Hh Hc. rewrite <- sumn_minus. eapply Rle_trans; [apply sumn_abs|].
  apply Rle_trans with (sumn n (fun i => p i * (Rabs h * (2 * pace s u) * B))); [|rewrite sumn_scal_r, (proj2 Hw); lra].
  apply sumn_le. intros i Hi. replace (p i * ratio d (mu (s + h) i) u * c i - p i * ratio d (mu s i) u * c i)
    with (p i * ((ratio d (mu (s + h) i) u - ratio d (mu s i) u) * c i)) by ring.
  rewrite Rabs_mult, (Rabs_right (p i)) by (apply Rle_ge, Hw; auto). apply Rmult_le_compat_l; [apply Hw; auto|]. rewrite Rabs_mult.
  apply Rmult_le_compat; try apply Rabs_pos; auto. apply ratio_moves; auto.
Qed.

Lemma rt_moves s h u : Rabs h <= 1 -> Rabs (rt (s + h) u - rt s u) <= Rabs h * (2 * pace s u).
Proof.
  intros Hh. pose proof (sum_moves s h u (fun _ => 1) 1 Hh) as M. rewrite Rmult_1_r in M. unfold mix.
  rewrite (sumn_ext n (fun i => p i * ratio d (mu (s + h) i) u) (fun i => p i * ratio d (mu (s + h) i) u * 1)) by (intros; ring).
  rewrite (sumn_ext n (fun i => p i * ratio d (mu s i) u) (fun i => p i * ratio d (mu s i) u * 1)) by (intros; ring).
  apply M. intros. rewrite Rabs_R1. lra.
Qed.

(** The mixture is nowhere small: its shifts are centred. *)
Lemma rt_inv s u : / rt s u <= exp (s ^ 2 * T / 2).
Proof.
  assert (L : exp (- (s ^ 2 * T / 2)) <= rt s u).
  { unfold mix. replace (- (s ^ 2 * T / 2)) with (sumn n (fun i => p i * (dot d (mu s i) u - sq d (mu s i) / 2))).
    - apply (exp_jensen n p (fun i => dot d (mu s i) u - sq d (mu s i) / 2)); apply Hw.
    - rewrite (sumn_ext n _ (fun i => s * (p i * dot d (xi_ i) u) - s ^ 2 / 2 * (p i * sq d (xi_ i)))) by (intros; rewrite dot_scal_l, sq_scal; field).
      rewrite sumn_minus, !sumn_scal. fold (trC d n p y). pose proof (dot_centred d n p y 1 Hw u) as C. unfold shift in C. rewrite sqrt_1 in C.
      rewrite (sumn_ext n _ (fun i => p i * dot d (xi_ i) u)) in C by (intros; rewrite dot_scal_l; ring). rewrite C. field. }
  rewrite <- (Ropp_involutive (s ^ 2 * T / 2)), exp_Ropp. apply Rinv_le_contravar; auto. apply exp_pos.
Qed.

Theorem derive_KL s : is_derive H s (s * explained s).
Proof.
  assert (Tl : forall t, tame d (fun u => ln (rt t u))) by (intros; apply tame_ln_mix; auto).
  assert (D := derive_Jlog s). set (c := exp (s ^ 2 * T / 2)). set (K := c * E d (fun u => (2 * pace s u) ^ 2)).
  assert (Tp : tame d (fun u => (2 * pace s u) ^ 2)) by (apply (tame_pow d (fun u => 2 * pace s u) 2), tame_scal, tame_pace).
  (* H(s + h) is J(s + h) up to a quadratic error, so that both have the same derivative *)
  assert (Q : forall h, Rabs h <= 1 -> 0 <= H (s + h) - Jlog s (s + h) <= h ^ 2 * K).
  { intros h Hh. unfold H, KL, Jlog. rewrite <- E_minus by (apply tame_mult; auto; apply tame_mix).
    assert (E1' : forall t, E d (rt t) = 1) by (intros; apply E_mix_1; auto).
    assert (Z : E d (fun u => rt (s + h) u - rt s u) = 0) by (rewrite E_minus, !E1' by apply tame_mix; ring).
    split.
    - rewrite <- Z. apply E_le; [apply tame_minus; apply tame_mix|apply tame_minus; apply tame_mult; auto; apply tame_mix|].
      intros u. pose proof (mix_pos d n p (mu s) u Hw) as P0. pose proof (mix_pos d n p (mu (s + h)) u Hw) as P1.
      assert (L : ln (rt s u / rt (s + h) u) <= rt s u / rt (s + h) u - 1) by (apply ln_le_sub, Rdiv_lt_0_compat; auto).
      rewrite ln_div in L by auto. apply Rmult_le_compat_l with (r := rt (s + h) u) in L; [|lra].
      replace (rt (s + h) u * (rt s u / rt (s + h) u - 1)) with (rt s u - rt (s + h) u) in L by (field; lra). lra.
    - apply Rle_trans with (E d (fun u => (rt (s + h) u - rt s u) + h ^ 2 * c * (2 * pace s u) ^ 2)).
      + apply E_le; [apply tame_minus; apply tame_mult; auto; apply tame_mix|apply tame_plus; [apply tame_minus; apply tame_mix|apply tame_scal; auto]|].
        intros u. pose proof (mix_pos d n p (mu s) u Hw) as P0. pose proof (mix_pos d n p (mu (s + h)) u Hw) as P1.
        assert (L : ln (rt (s + h) u / rt s u) <= rt (s + h) u / rt s u - 1) by (apply ln_le_sub, Rdiv_lt_0_compat; auto).
        rewrite ln_div in L by auto. apply Rmult_le_compat_l with (r := rt (s + h) u) in L; [|lra].
        replace (rt (s + h) u * (rt (s + h) u / rt s u - 1)) with (rt (s + h) u - rt s u + (rt (s + h) u - rt s u) ^ 2 * / rt s u) in L by (field; lra).
        assert (M : (rt (s + h) u - rt s u) ^ 2 <= h ^ 2 * (2 * pace s u) ^ 2).
        { rewrite <- (pow2_abs (rt (s + h) u - rt s u)), <- (pow2_abs h), <- Rpow_mult_distr. apply pow_incr. split; [apply Rabs_pos|apply rt_moves; auto]. }
        assert ((rt (s + h) u - rt s u) ^ 2 * / rt s u <= h ^ 2 * (2 * pace s u) ^ 2 * c).
        { apply Rmult_le_compat; auto; [apply pow2_ge_0|left; apply Rinv_0_lt_compat; auto|apply rt_inv]. }
        lra.
      + right. rewrite E_plus, Z, E_scal by (auto; try apply tame_scal; auto; apply tame_minus; apply tame_mix). unfold K. ring. }
  assert (H0 : H s = Jlog s s) by reflexivity.
  apply is_derive_Reals. apply is_derive_Reals in D. intros eps He. destruct (D (eps / 2) ltac:(lra)) as [delta Hd].
  assert (HK : 0 <= K). { specialize (Q 1). rewrite Rabs_R1 in Q. lra. }
  assert (Hm : 0 < Rmin (Rmin 1 delta) (eps / 2 / (K + 1))).
  { apply Rmin_pos; [apply Rmin_pos; [lra|apply cond_pos]|apply Rdiv_lt_0_compat; lra]. }
  exists (mkposreal _ Hm). simpl. intros h Hh Hlt.
  assert (L1 : Rabs h < 1) by (eapply Rlt_le_trans; [exact Hlt|eapply Rle_trans; [apply Rmin_l|apply Rmin_l]]).
  assert (L2 : Rabs h < delta) by (eapply Rlt_le_trans; [exact Hlt|eapply Rle_trans; [apply Rmin_l|apply Rmin_r]]).
  assert (L3 : Rabs h < eps / 2 / (K + 1)) by (eapply Rlt_le_trans; [exact Hlt|apply Rmin_r]).
  specialize (Hd h Hh L2). specialize (Q h ltac:(lra)). assert (Hp : 0 < Rabs h) by (apply Rabs_pos_lt; auto).
  replace ((H (s + h) - H s) / h - s * explained s) with (((Jlog s (s + h) - Jlog s s) / h - s * explained s) + (H (s + h) - Jlog s (s + h)) / h) by (rewrite H0; field; auto).
  eapply Rle_lt_trans; [apply Rabs_triang|]. enough (Rabs ((H (s + h) - Jlog s (s + h)) / h) < eps / 2) by lra.
  unfold Rdiv at 1. rewrite Rabs_mult, Rabs_inv, (Rabs_right (H (s + h) - Jlog s (s + h))) by lra.
  apply Rmult_lt_reg_r with (Rabs h); auto. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  apply Rmult_lt_compat_r with (r := K + 1) in L3; [|lra]. unfold Rdiv in L3 at 1. rewrite Rmult_assoc, Rinv_l, Rmult_1_r in L3 by lra.
  rewrite <- (pow2_abs h) in Q. nra.
Qed.

(** ** What is explained is continuous in s *)

Lemma xhat_coord s u k : xhat s u k = sumn n (fun i => p i * ratio d (mu s i) u * xi_ i k) / rt s u.
Proof.
  unfold hat, post. change (at_r xi_ s) with (mu s). unfold Rdiv at 2. rewrite <- sumn_scal_r. apply sumn_ext. intros; unfold Rdiv; ring.
Qed.

Lemma coord_spread i k : (i < n)%nat -> (k < d)%nat -> Rabs (xi_ i k) <= spread.
Proof.
  intros Hi Hk. eapply Rle_trans; [|apply len_spread; eauto]. apply (sumn_term d (fun k => Rabs (xi_ i k))); auto. intros; apply Rabs_pos.
Qed.

Lemma xhat_bounded s u k : (k < d)%nat -> Rabs (xhat s u k) <= spread.
Proof.
  intros Hk. unfold hat. eapply Rle_trans; [apply sumn_abs|]. apply Rle_trans with (sumn n (fun i => post d n p xi_ s i u * spread)); [|rewrite sumn_scal_r, post_sum; lra].
  apply sumn_le. intros i Hi. rewrite Rabs_mult, (Rabs_right (post d n p xi_ s i u)) by (apply Rle_ge, post_nonneg; auto).
  apply Rmult_le_compat_l; [apply post_nonneg; auto|apply coord_spread; auto].
Qed.

(** The size of a coordinate's share, and how far it moves *)
Definition wander (s : R) (u : vec) : R := 2 * pace s u * spread * spread * (1 + 2 * (rt s u * exp ((Rabs s + 1) ^ 2 * T / 2))).

Lemma share_moves s h u k : Rabs h <= 1 -> (k < d)%nat ->
  Rabs (rt (s + h) u * (xhat (s + h) u k * xhat (s + h) u k) - rt s u * (xhat s u k * xhat s u k)) <= Rabs h * wander s u.
Proof.
  intros Hh Hk. pose proof (mix_pos d n p (mu s) u Hw) as P0. pose proof (mix_pos d n p (mu (s + h)) u Hw) as P1.
  set (N0 := sumn n (fun i => p i * ratio d (mu s i) u * xi_ i k)). set (N1 := sumn n (fun i => p i * ratio d (mu (s + h) i) u * xi_ i k)).
  set (a := xhat s u k). set (b := xhat (s + h) u k). set (R0 := rt s u) in *. set (R1 := rt (s + h) u) in *.
  assert (Ea : a * R0 = N0) by (unfold a; rewrite xhat_coord; fold N0 R0; field; lra).
  assert (Eb : b * R1 = N1) by (unfold b; rewrite xhat_coord; fold N1 R1; field; lra).
  set (e := Rabs h * (2 * pace s u)). pose proof spread_nonneg as Hs.
  assert (He : 0 <= e) by (apply Rmult_le_pos; [apply Rabs_pos|pose proof (pace_nonneg s u); lra]).
  assert (DN : Rabs (N1 - N0) <= e * spread) by (apply (sum_moves s h u (fun i => xi_ i k) spread Hh); intros; apply coord_spread; auto).
  assert (DR : Rabs (R1 - R0) <= e) by (apply rt_moves; auto).
  assert (Ba : Rabs a <= spread) by (apply xhat_bounded; auto). assert (Bb : Rabs b <= spread) by (apply xhat_bounded; auto).
  set (cc := exp ((Rabs s + 1) ^ 2 * T / 2)).
  assert (HI : / R1 <= cc).
  { eapply Rle_trans; [apply rt_inv|]. apply exp_le_mono. assert (0 <= T) by (apply trC_nonneg; auto).
    assert ((s + h) ^ 2 <= (Rabs s + 1) ^ 2). { rewrite <- pow2_abs. apply pow_incr. split; [apply Rabs_pos|]. eapply Rle_trans; [apply Rabs_triang|lra]. }
    nra. }
  assert (I0 : 0 < / R1) by (apply Rinv_0_lt_compat; auto).
  (* b - a = (N1 - N0)/R1 - a (R1 - R0)/R1 *)
  assert (Dab : Rabs (b - a) <= 2 * e * spread * cc).
  { replace (b - a) with (((N1 - N0) - a * (R1 - R0)) * / R1) by (rewrite <- Eb, <- Ea; field; lra).
    rewrite Rabs_mult, (Rabs_right (/ R1)) by lra. apply Rmult_le_compat; try lra; [apply Rabs_pos|].
    unfold Rminus at 1. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, Rabs_mult.
    assert (Rabs a * Rabs (R1 - R0) <= spread * e) by (apply Rmult_le_compat; auto; apply Rabs_pos). lra. }
  replace (R1 * (b * b) - R0 * (a * a)) with ((N1 - N0) * b + a * R0 * (b - a)) by (rewrite <- Eb, <- Ea; ring).
  eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult, (Rabs_right R0) by lra.
  assert (X1 : Rabs (N1 - N0) * Rabs b <= e * spread * spread) by (apply Rmult_le_compat; auto; apply Rabs_pos).
  assert (X2 : Rabs a * R0 * Rabs (b - a) <= spread * R0 * (2 * e * spread * cc)).
  { apply Rmult_le_compat; auto; [apply Rmult_le_pos; [apply Rabs_pos|lra]|apply Rabs_pos|apply Rmult_le_compat_r; [lra|auto]]. }
  unfold wander. fold R0 cc. replace (Rabs h * (2 * pace s u * spread * spread * (1 + 2 * (R0 * cc)))) with (e * spread * spread + spread * R0 * (2 * e * spread * cc)) by (unfold e; ring).
  lra.
Qed.

Lemma tame_wander s : tame d (wander s).
Proof.
  unfold wander. set (cc := exp ((Rabs s + 1) ^ 2 * T / 2)).
  rewrite (functional_extensionality _ (fun u => 2 * spread * spread * (pace s u * (1 + 2 * cc * rt s u)))) by (intros; ring).
  apply tame_scal. apply tame_mult; [apply tame_pace|]. apply (tame_plus d (fun _ => 1)); [apply tame_const|apply tame_scal, tame_mix].
Qed.

Theorem explained_moves s h : Rabs h <= 1 -> Rabs (explained (s + h) - explained s) <= Rabs h * (INR d * E d (wander s)).
Proof.
  intros Hh. unfold explained. rewrite <- E_minus by apply tame_explained.
  replace (Rabs h * (INR d * E d (wander s))) with (E d (fun u => Rabs h * INR d * wander s u)) by (rewrite E_scal by apply tame_wander; ring).
  apply E_abs_le; [apply tame_minus; apply tame_explained|apply tame_scal, tame_wander|].
  intros u. unfold sq, dot. rewrite <- !sumn_scal, <- sumn_minus. eapply Rle_trans; [apply sumn_abs|].
  replace (Rabs h * INR d * wander s u) with (sumn d (fun _ => Rabs h * wander s u)) by (rewrite sumn_const; ring).
  apply sumn_le. intros k Hk. apply share_moves; auto.
Qed.

Lemma continuous_explained s : continuous explained s.
Proof.
  apply continuity_pt_filterlim. intros eps He. set (K := INR d * E d (wander s)).
  assert (HK : 0 <= K). { pose proof (explained_moves s 1) as M. rewrite Rabs_R1 in M. specialize (M ltac:(lra)). pose proof (Rabs_pos (explained (s + 1) - explained s)). unfold K. lra. }
  exists (Rmin 1 (eps / (K + 1))). split; [apply Rmin_pos; [lra|apply Rdiv_lt_0_compat; lra]|].
  intros z [_ Hz]. unfold dist in *; simpl in *. unfold R_dist in *.
  assert (L1 : Rabs (z - s) < 1) by (eapply Rlt_le_trans; [exact Hz|apply Rmin_l]). assert (L2 : Rabs (z - s) < eps / (K + 1)) by (eapply Rlt_le_trans; [exact Hz|apply Rmin_r]).
  pose proof (explained_moves s (z - s) ltac:(lra)) as M. replace (s + (z - s)) with z in M by ring. fold K in M.
  apply Rmult_lt_compat_r with (r := K + 1) in L2; [|lra]. unfold Rdiv in L2. rewrite Rmult_assoc, Rinv_l, Rmult_1_r in L2 by lra. pose proof (Rabs_pos (z - s)). nra.
Qed.

(** ** B4 *)

Lemma KL_zero : H 0 = 0.
Proof.
  unfold H, KL. rewrite (E_ext d _ (fun _ => 0)); [apply E_const|]. intros u. replace (rt 0 u) with 1; [rewrite ln_1; ring|].
  rewrite <- (proj2 Hw). unfold mix. apply sumn_ext. intros i _. unfold ratio. rewrite dot_scal_l, sq_scal. rewrite exp_zero by field. ring.
Qed.

(** [KL = 1/2 int_0^g (tr C - mmse(h)) dh], where [mmse(h)] is the mean of the trace of the posterior covariance that is left at the gap h. *)
Theorem B4_immse g : 0 <= g -> is_RInt (fun h => (T - mmse d n p xi_ (sqrt h)) / 2) 0 g (KL d n p (shift n p y g)).
Proof.
  intros Hg. change (KL d n p (shift n p y g)) with (H (sqrt g)).
  assert (C : forall h, continuous (fun h => explained (sqrt h) / 2) h).
  { intros h. apply (continuous_mult (K := R_AbsRing) (fun h => explained (sqrt h)) (fun _ => / 2)); [|apply continuous_const].
    apply (continuous_comp sqrt explained); [|apply continuous_explained].
    destruct (Rle_dec 0 h) as [Hh|Hh]; [apply continuity_pt_filterlim, continuity_pt_sqrt; auto|].
    apply (continuous_ext_loc _ (fun _ => 0)); [|apply continuous_const]. assert (Hh' : 0 < - h) by lra. exists (mkposreal _ Hh'). intros z Hz.
    unfold ball in Hz; simpl in Hz. unfold AbsRing_ball, abs, minus, plus, opp in Hz; simpl in Hz. apply Rabs_lt_between in Hz. symmetry. apply sqrt_neg_0. lra. }
  apply is_RInt_ext with (fun h => explained (sqrt h) / 2); [intros h _; rewrite mmse_explained; change (explained (sqrt h) / 2 = (T - (T - explained (sqrt h))) / 2); field|].
  assert (X : RInt (fun h => explained (sqrt h) / 2) 0 g = H (sqrt g)).
  { assert (D : is_RInt (fun s => s * explained s) 0 (sqrt g) (minus (H (sqrt g)) (H 0))).
    { apply (is_RInt_derive H (fun s => s * explained s)); intros s _; [apply derive_KL|].
      apply (continuous_mult (K := R_AbsRing) (fun s => s) explained); [apply continuous_id|apply continuous_explained]. }
    replace (minus (H (sqrt g)) (H 0)) with (H (sqrt g)) in D by (rewrite KL_zero; symmetry; apply (minus_zero_r (G := R_AbelianGroup))).
    rewrite <- (is_RInt_unique (V := R_CompleteNormedModule) _ _ _ _ D).
    pose proof (RInt_comp (V := R_CompleteNormedModule) (fun h => explained (sqrt h) / 2) (fun s => s ^ 2) (fun s => 2 * s) 0 (sqrt g)) as S.
    cbv beta in S. replace (0 ^ 2) with 0 in S by ring. rewrite pow2_sqrt in S by auto. rewrite <- S.
    - apply RInt_ext. intros s Hs. rewrite Rmin_left in Hs by apply sqrt_pos. unfold scal; simpl; unfold mult; simpl. rewrite Rmult_1_r.
      change (2 * s * (explained (sqrt (s * s)) / 2) = s * explained s). rewrite sqrt_square by lra. field.
    - intros; apply C.
    - intros s _. split; [auto_derive; auto; ring|]. apply (continuous_mult (K := R_AbsRing) (fun _ => 2) (fun s => s)); [apply continuous_const|apply continuous_id]. }
  rewrite <- X. apply (RInt_correct (V := R_CompleteNormedModule)). apply (ex_RInt_continuous (V := R_CompleteNormedModule)). intros; apply C.
Qed.

(** As a derivative: at every gap above 0 KL grows at half of what the observation explains. *)
Theorem B4_rate g : 0 < g -> is_derive (fun h => KL d n p (shift n p y h)) g ((T - mmse d n p xi_ (sqrt g)) / 2).
Proof.
  intros Hg. rewrite mmse_explained. pose proof (sqrt_lt_R0 g Hg) as Hs.
  replace ((T - (T - explained (sqrt g))) / 2) with (scal (/ (2 * sqrt g)) (sqrt g * explained (sqrt g))) by (unfold scal; simpl; unfold mult; simpl; field; lra).
  apply (is_derive_comp H sqrt); [apply derive_KL|]. auto_derive; auto. field. lra.
Qed.
End Information.
