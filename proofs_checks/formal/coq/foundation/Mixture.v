(** The reverse kernel of finite data in the coordinate u: a mixture P of Gaussians against Q = N(0, I).

    [P = sum_i p_i N(m_i, I)]; [r_j = dN(m_j, I)/dQ], [r = dP/dQ]. Divergences are expectations under Q. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space.
Local Open Scope R_scope.

(** Weights of a finite law *)
Definition weights (n : nat) (p : nat -> R) : Prop := (forall i, (i < n)%nat -> 0 <= p i) /\ sumn n p = 1.

(** The density ratio of N(m, I) *)
Definition ratio (d : nat) (m u : vec) : R := exp (dot d m u - sq d m / 2).
(** The density ratio of the mixture *)
Definition mix (d n : nat) (p : nat -> R) (m : nat -> vec) (u : vec) : R := sumn n (fun i => p i * ratio d (m i) u).

Definition KL (d n : nat) p m : R := E d (fun u => mix d n p m u * ln (mix d n p m u)).
Definition TV (d n : nat) p m : R := E d (fun u => Rabs (mix d n p m u - 1)) / 2.
Definition chi2 (d n : nat) p m : R := E d (fun u => (mix d n p m u - 1) ^ 2).
(** KL from P to the Gaussian whose log density ratio to Q is [l] *)
Definition KL_to (d n : nat) p m (l : vec -> R) : R := E d (fun u => mix d n p m u * (ln (mix d n p m u) - l u)).

(** ** Tame functions *)

Lemma lip_ratio_exponent d m : lip d (fun u => dot d m u - sq d m / 2).
Proof. apply lip_plus; [apply lip_dot|apply (lip_const d (- (sq d m / 2)))]. Qed.

Lemma tame_ratio d m : tame d (ratio d m).
Proof. apply (tame_exp d (fun u => dot d m u - sq d m / 2)), lip_ratio_exponent. Qed.

Lemma tame_mix d n p m : tame d (mix d n p m).
Proof. apply (tame_sum d n (fun i u => p i * ratio d (m i) u)). intros. apply tame_scal, tame_ratio. Qed.

Lemma lip_ln_mix d n p m : weights n p -> lip d (fun u => ln (mix d n p m u)).
Proof.
  intros [Hp Hs]. apply (lip_log_sum d n p (fun i u => dot d (m i) u - sq d (m i) / 2)); auto; [lra|].
  intros. apply lip_ratio_exponent.
Qed.

Lemma tame_ln_mix d n p m : weights n p -> tame d (fun u => ln (mix d n p m u)).
Proof. intros. apply lip_tame, lip_ln_mix; auto. Qed.

Lemma ratio_pos d m u : 0 < ratio d m u.
Proof. apply exp_pos. Qed.

Lemma ln_ratio d m u : ln (ratio d m u) = dot d m u - sq d m / 2.
Proof. apply ln_exp. Qed.

Lemma mix_pos d n p m u : weights n p -> 0 < mix d n p m u.
Proof.
  intros [Hp Hs]. destruct (sumn_some_pos n p Hp) as (k & Hk & Hpk); [lra|]. apply sumn_pos.
  - intros i Hi. apply Rmult_le_pos; auto. left; apply ratio_pos.
  - exists k. split; auto. apply Rmult_lt_0_compat; auto. apply ratio_pos.
Qed.

(** A weighted mean of the components' expectations *)
Lemma E_mix d n p m f : tame d f -> E d (fun u => mix d n p m u * f u) = sumn n (fun i => p i * E d (fun u => ratio d (m i) u * f u)).
Proof.
  intros Hf. rewrite (E_ext d _ (fun u => sumn n (fun i => p i * (ratio d (m i) u * f u)))).
  - rewrite E_sum by (intros; apply tame_scal, tame_mult; auto; apply tame_ratio).
    apply sumn_ext. intros. apply E_scal, tame_mult; auto; apply tame_ratio.
  - intros u. unfold mix. rewrite <- sumn_scal_r. apply sumn_ext. intros; ring.
Qed.

(** ** Moments of N(m, I), from the moment generating function alone *)

Lemma E_ratio_exp d m a : E d (fun u => ratio d m u * exp (dot d a u)) = exp (dot d m a + sq d a / 2).
Proof.
  rewrite (E_ext d _ (fun u => exp (- (sq d m / 2)) * exp (dot d (vplus m a) u))).
  - rewrite E_scal by (apply tame_exp, lip_dot). rewrite E_exp, <- exp_plus, sq_plus. f_equal. field.
  - intros u. unfold ratio. rewrite <- !exp_plus, dot_plus_l. f_equal. ring.
Qed.

Lemma E_ratio d m : E d (ratio d m) = 1.
Proof.
  rewrite (E_ext d _ (fun u => ratio d m u * exp (dot d (fun _ => 0) u))).
  - rewrite E_ratio_exp. assert (Z : forall v, dot d v (fun _ => 0) = 0) by (intros; unfold dot; apply sumn_zero; intros; ring).
    unfold sq. rewrite !Z. replace (0 + 0 / 2) with 0 by field. apply exp_0.
  - intros u. replace (dot d (fun _ => 0) u) with 0; [rewrite exp_0; ring|]. unfold dot. rewrite sumn_zero; auto. intros; ring.
Qed.

Lemma E_mix_1 d n p m : weights n p -> E d (mix d n p m) = 1.
Proof.
  intros [_ Hs]. rewrite (E_ext d _ (fun u => mix d n p m u * 1)) by (intros; ring). rewrite E_mix by apply tame_const.
  transitivity (sumn n p); auto. apply sumn_ext. intros i _.
  rewrite (E_ext d (fun u => ratio d (m i) u * 1) (ratio d (m i))) by (intros; ring). rewrite E_ratio. ring.
Qed.

(** A function that starts at 0 and is not negative afterwards has no negative slope there. *)
Lemma slope_nonneg h l : h 0 = 0 -> (forall t, 0 < t -> 0 <= h t) -> is_derive h 0 l -> 0 <= l.
Proof.
  intros H0 Hpos Hd. apply Rnot_lt_le. intros Hl. apply is_derive_Reals in Hd.
  destruct (Hd (- l / 2)) as [[delta Hdel] H]; [lra|]. simpl in H.
  specialize (H (delta / 2)). rewrite Rplus_0_l, H0 in H.
  assert (A : Rabs ((h (delta / 2) - 0) / (delta / 2) - l) < - l / 2).
  { apply H; [lra|]. rewrite Rabs_right by lra. lra. }
  assert (0 <= (h (delta / 2) - 0) / (delta / 2)) by (apply Rdiv_le_0_compat; [rewrite Rminus_0_r; apply Hpos|]; lra).
  apply Rabs_lt_between in A. lra.
Qed.

Lemma E_ratio_dot d m a : E d (fun u => ratio d m u * dot d a u) = dot d m a.
Proof.
  assert (H : forall b, E d (fun u => ratio d m u * dot d b u) <= dot d m b).
  { intros b. set (M := E d (fun u => ratio d m u * dot d b u)).
    assert (0 <= dot d m b - M); [|lra].
    apply (slope_nonneg (fun t => exp (t * dot d m b + t ^ 2 * (sq d b / 2)) - 1 - t * M)).
    - simpl. rewrite !Rmult_0_l, Rplus_0_l, exp_0. ring.
    - intros t Ht. replace (exp (t * dot d m b + t ^ 2 * (sq d b / 2)))
        with (E d (fun u => ratio d m u * exp (dot d (vscal t b) u))).
      2:{ rewrite E_ratio_exp, dot_scal_r, sq_scal. f_equal. field. }
      assert (E d (fun u => ratio d m u * (1 + t * dot d b u)) <= E d (fun u => ratio d m u * exp (dot d (vscal t b) u))).
      { apply E_le; [apply tame_mult; [apply tame_ratio|apply tame_plus; [apply tame_const|apply tame_scal, tame_dot]]
                    |apply tame_mult; [apply tame_ratio|apply tame_exp, lip_dot]|].
        intros u. apply Rmult_le_compat_l; [left; apply ratio_pos|]. rewrite dot_scal_l. apply exp_ge. }
      rewrite (E_ext d (fun u => ratio d m u * (1 + t * dot d b u)) (fun u => ratio d m u + t * (ratio d m u * dot d b u))) in H by (intros; ring).
      rewrite E_plus, E_scal, E_ratio in H; [fold M in H; lra|apply tame_mult; [apply tame_ratio|apply tame_dot]|apply tame_ratio|].
      apply tame_scal, tame_mult; [apply tame_ratio|apply tame_dot].
    - auto_derive; auto. rewrite !Rmult_0_l, Rplus_0_l, exp_0. ring. }
  apply Rle_antisym; [apply H|]. specialize (H (vscal (-1) a)). rewrite dot_scal_r in H.
  rewrite (E_ext d _ (fun u => -1 * (ratio d m u * dot d a u))) in H by (intros; rewrite dot_scal_l; ring).
  rewrite E_scal in H by (apply tame_mult; [apply tame_ratio|apply tame_dot]). lra.
Qed.

(** The unit vector [c e_k] *)
Definition unit (k : nat) (c : R) : vec := fun j => if Nat.eqb j k then c else 0.

Lemma dot_unit d k c v : (k < d)%nat -> dot d v (unit k c) = v k * c.
Proof.
  intros Hk. unfold dot, unit. rewrite (sumn_ext d _ (fun i => if Nat.eqb i k then v i * c else 0)).
  - apply (sumn_single d k (fun i => v i * c)); auto.
  - intros i _. destruct (Nat.eqb i k); ring.
Qed.

Lemma sinh_ge z : 0 <= z -> z <= (exp z - exp (- z)) / 2.
Proof.
  intros Hz. set (h := fun t => (exp t - exp (- t)) / 2 - t).
  destruct Hz as [Hz|<-]; [|rewrite Ropp_0, exp_0; lra].
  destruct (MVT_gen h 0 z (fun t => (exp t + exp (- t)) / 2 - 1)) as [c [_ Ec]].
  - intros t _. unfold h. auto_derive; auto. field.
  - intros t _. unfold h. apply derivable_continuous_pt.
    exists ((exp t + exp (- t)) / 2 - 1). apply is_derive_Reals. auto_derive; auto. field.
  - unfold h in Ec at 2. rewrite Ropp_0, exp_0 in Ec.
    assert (2 <= exp c + exp (- c)).
    { pose proof (exp_pos c). assert (exp c * exp (- c) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
      assert (0 <= (exp c - 1) ^ 2) by apply pow2_ge_0. pose proof (exp_pos (- c)). nra. }
    unfold h in Ec. nra.
Qed.

Lemma x_sinh x t : 0 < t -> t * x ^ 2 <= x * ((exp (t * x) - exp (- (t * x))) / 2).
Proof.
  intros Ht. destruct (Rle_dec 0 x) as [Hx|Hx].
  - assert (t * x <= (exp (t * x) - exp (- (t * x))) / 2) by (apply sinh_ge, Rmult_le_pos; lra). nra.
  - assert (- (t * x) <= (exp (- (t * x)) - exp (- - (t * x))) / 2) by (apply sinh_ge; nra).
    rewrite Ropp_involutive in H. nra.
Qed.

Lemma tame_sq d k : (k < d)%nat -> tame d (fun u => u k ^ 2).
Proof.
  intros Hk. replace (fun u : vec => u k ^ 2) with (fun u : vec => u k * u k) by (apply functional_extensionality; intros; ring).
  apply tame_mult; apply tame_coord; auto.
Qed.

Lemma E_ratio_sq d m k : (k < d)%nat -> E d (fun u => ratio d m u * u k ^ 2) = 1 + m k ^ 2.
Proof.
  intros Hk. set (M := E d (fun u => ratio d m u * u k ^ 2)).
  assert (TM : tame d (fun u => ratio d m u * u k ^ 2)) by (apply tame_mult; [apply tame_ratio|apply tame_sq; auto]).
  assert (D : forall a, E d (fun u => ratio d a u * u k) = a k).
  { intros a. rewrite (E_ext d _ (fun u => ratio d a u * dot d (unit k 1) u)).
    - rewrite E_ratio_dot, dot_unit by auto. ring.
    - intros u. rewrite dot_comm, dot_unit by auto. ring. }
  apply Rle_antisym.
  - (* above: x sinh(tx) >= t x^2, and the first moment *)
    assert (0 <= 1 + m k ^ 2 - M); [|lra].
    apply (slope_nonneg (fun t => ((m k + t) * exp (t * m k + t ^ 2 / 2) - (m k - t) * exp (- (t * m k) + t ^ 2 / 2)) / 2 - t * M)).
    + simpl. rewrite !Rmult_0_l, Ropp_0. replace (0 + 0 / 2) with 0 by field. rewrite exp_0. field.
    + intros t Ht.
      assert (F : forall s, E d (fun u => ratio d m u * exp (s * u k) * u k) = (m k + s) * exp (s * m k + s ^ 2 / 2)).
      { intros s. rewrite (E_ext d _ (fun u => exp (s * m k + s ^ 2 / 2) * (ratio d (vplus m (unit k s)) u * u k))).
        - rewrite E_scal by (apply tame_mult; [apply tame_ratio|apply tame_coord; auto]). rewrite D. unfold vplus, unit.
          rewrite PeanoNat.Nat.eqb_refl. ring.
        - intros u. rewrite <- Rmult_assoc. f_equal. unfold ratio. rewrite <- !exp_plus. f_equal.
          rewrite dot_plus_l, sq_plus, dot_unit by auto. unfold sq at 3. rewrite dot_unit by auto.
          rewrite (dot_comm d (unit k s) u), dot_unit by auto. unfold unit. rewrite PeanoNat.Nat.eqb_refl. field. }
      assert (TF : forall s, tame d (fun u => ratio d m u * exp (s * u k) * u k)).
      { intros s. apply (tame_mult d (fun u => ratio d m u * exp (s * u k))); [|apply tame_coord; auto].
        apply tame_mult; [apply tame_ratio|]. apply tame_exp. apply lip_scal.
        exists 1. split; [lra|]. intros u v. rewrite Rmult_1_l. apply (sumn_term d (fun k => Rabs (vminus u v k)) k); auto.
        intros; apply Rabs_pos. }
      assert (E d (fun u => t * (ratio d m u * u k ^ 2))
        <= E d (fun u => / 2 * (ratio d m u * exp (t * u k) * u k) - / 2 * (ratio d m u * exp (- t * u k) * u k))).
      { apply E_le; [apply tame_scal; auto|apply tame_minus; apply tame_scal; auto|]. intros u.
        pose proof (x_sinh (u k) t Ht). pose proof (ratio_pos d m u).
        replace (- t * u k) with (- (t * u k)) by ring. nra. }
      rewrite E_scal, E_minus, !E_scal, !F in H; try apply tame_scal; auto. fold M in H.
      replace (- t * m k + (- t) ^ 2 / 2) with (- (t * m k) + t ^ 2 / 2) in H by field. lra.
    + auto_derive; auto.
      replace (exp (0 * m k + 0 * (0 * 1) * / 2)) with 1 by (symmetry; apply exp_zero; field).
      replace (exp (- (0 * m k) + 0 * (0 * 1) * / 2)) with 1 by (symmetry; apply exp_zero; field). field.
  - (* below: exp(-t x^2/2) >= 1 - t x^2/2, and the quadratic part of the generating function *)
    assert (0 <= - (1 + m k ^ 2) / 2 + M / 2); [|lra].
    apply (slope_nonneg (fun t => exp (m k ^ 2 / (2 * (1 + t)) - m k ^ 2 / 2) / sqrt (1 + t) - 1 + t * (M / 2))).
    + rewrite Rplus_0_r, sqrt_1. replace (m k ^ 2 / (2 * 1) - m k ^ 2 / 2) with 0 by field. rewrite exp_0. field.
    + intros t Ht.
      assert (Q : E d (fun u => ratio d m u * exp (- (t * u k ^ 2 / 2))) = exp (m k ^ 2 / (2 * (1 + t)) - m k ^ 2 / 2) / sqrt (1 + t)).
      { rewrite (E_ext d _ (fun u => exp (- (sq d m / 2)) * exp (dot d m u - quad d (unit k t) u / 2))).
        - rewrite E_scal, E_mgf.
          + rewrite (prodn_ext d _ (fun j => exp (m j ^ 2 / 2) * (if Nat.eqb j k then exp (m k ^ 2 / (2 * (1 + t)) - m k ^ 2 / 2) / sqrt (1 + t) else 1))).
            * rewrite prodn_mult, prodn_exp.
              rewrite (sumn_ext d _ (fun j => m j * m j * / 2)) by (intros; field). rewrite sumn_scal_r.
              assert (P : forall n c, (k < n)%nat -> prodn n (fun j => if Nat.eqb j k then c else 1) = c).
              { intros n c. induction n; intros Hkn; [lia|]. simpl. destruct (PeanoNat.Nat.eq_dec k n) as [->|Hne].
                - rewrite PeanoNat.Nat.eqb_refl. rewrite (prodn_ext n _ (fun _ => 1)).
                  + replace (prodn n (fun _ => 1)) with 1; [ring|]. clear. induction n; simpl; [auto|rewrite <- IHn; ring].
                  + intros i Hi. destruct (PeanoNat.Nat.eqb_spec i n); [lia|auto].
                - rewrite IHn by lia. destruct (PeanoNat.Nat.eqb_spec n k); [lia|ring]. }
              rewrite P by auto. rewrite <- Rmult_assoc, <- exp_plus.
              replace (- (sq d m / 2) + sumn d (fun i => m i * m i) * / 2) with 0 by (unfold sq, dot; field). rewrite exp_0. ring.
            * intros j _. unfold unit. destruct (PeanoNat.Nat.eqb_spec j k) as [->|].
              -- assert (sqrt (1 + t) <> 0) by (apply Rgt_not_eq, sqrt_lt_R0; lra).
                 replace (exp (m k ^ 2 / (2 * (1 + t)))) with (exp (m k ^ 2 / 2) * exp (m k ^ 2 / (2 * (1 + t)) - m k ^ 2 / 2))
                   by (rewrite <- exp_plus; f_equal; field; lra). field. auto.
              -- rewrite Rplus_0_r, sqrt_1, !Rmult_1_r. field.
          + intros j _. unfold unit. destruct (Nat.eqb j k); lra.
          + apply tame_gauss. intros j _. unfold unit. destruct (Nat.eqb j k); lra.
        - intros u. unfold ratio. rewrite <- !exp_plus. f_equal. unfold quad.
          rewrite (sumn_ext d _ (fun j => if Nat.eqb j k then t * u j ^ 2 else 0)).
          + rewrite (sumn_single d k (fun j => t * u j ^ 2)) by auto. field.
          + intros j _. unfold unit. destruct (Nat.eqb j k); ring. }
      rewrite <- Q.
      assert (E d (fun u => ratio d m u - t / 2 * (ratio d m u * u k ^ 2)) <= E d (fun u => ratio d m u * exp (- (t * u k ^ 2 / 2)))).
      { apply E_le; [apply tame_minus; [apply tame_ratio|apply tame_scal; auto]| |].
        - apply tame_mult; [apply tame_ratio|].
          rewrite (functional_extensionality (fun u : vec => exp (- (t * u k ^ 2 / 2))) (fun u => exp (- (t / 2) * u k ^ 2)))
            by (intros; f_equal; field).
          apply tame_exp_neg; [apply tame_scal, tame_sq; auto|]. intros u. pose proof (pow2_ge_0 (u k)). nra.
        - intros u. pose proof (exp_ge (- (t * u k ^ 2 / 2))). pose proof (ratio_pos d m u). nra. }
      rewrite E_minus, E_scal, E_ratio in H; auto; [fold M in H; lra|apply tame_ratio|apply tame_scal; auto].
    + auto_derive.
      * repeat split; try lra. rewrite Rplus_0_r, sqrt_1. lra.
      * rewrite Rplus_0_r, sqrt_1.
        replace (exp (m k * (m k * 1) * / (2 * 1) + - (m k * (m k * 1) / 2))) with 1 by (symmetry; apply exp_zero; field).
        field.
Qed.

(** The logarithm of a component under a component *)
Lemma E_ratio_ln d m a : E d (fun u => ratio d m u * ln (ratio d a u)) = dot d m a - sq d a / 2.
Proof.
  rewrite (E_ext d _ (fun u => ratio d m u * dot d a u - sq d a / 2 * ratio d m u)) by (intros; rewrite ln_ratio; ring).
  rewrite E_minus, E_scal, E_ratio, E_ratio_dot; [ring|apply tame_ratio|apply tame_mult; [apply tame_ratio|apply tame_dot]|apply tame_scal, tame_ratio].
Qed.

(** Second moments of a quadratic form *)
Lemma E_ratio_quad d m S : E d (fun u => ratio d m u * quad d S u) = sumn d (fun k => S k * (1 + m k ^ 2)).
Proof.
  rewrite (E_ext d _ (fun u => sumn d (fun k => S k * (ratio d m u * u k ^ 2)))).
  - rewrite E_sum by (intros; apply tame_scal, tame_mult; [apply tame_ratio|apply tame_sq; auto]).
    apply sumn_ext. intros k Hk. rewrite E_scal by (apply tame_mult; [apply tame_ratio|apply tame_sq; auto]).
    rewrite E_ratio_sq by auto. auto.
  - intros u. unfold quad. rewrite <- sumn_scal. apply sumn_ext. intros; ring.
Qed.
