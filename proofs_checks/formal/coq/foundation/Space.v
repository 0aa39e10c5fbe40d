(** The expectation under N(0, I_d), in every dimension: one coordinate's integral after the other.

    [E d f] is defined for every [f]; its lemmas (linear, monotone, moment generating function with a diagonal quadratic part) are about the
    class [tame d] (Tame.v). *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian.
From Singdiffusion Require Export Tame.
Local Open Scope R_scope.

(** ** The expectation *)

(** The vector of [d + 1] coordinates that ends with [x] *)
Definition upd (d : nat) (u : vec) (x : R) : vec := fun k => if Nat.eqb k d then x else u k.

Fixpoint E (d : nat) (f : vec -> R) : R :=
  match d with
  | O => f (fun _ => 0)
  | S k => E1 (fun x => E k (fun u => f (upd k u x)))
  end.

Lemma upd_sum d (g : nat -> R -> R) u x : sumn (S d) (fun k => g k (upd d u x k)) = sumn d (fun k => g k (u k)) + g d x.
Proof.
  simpl. f_equal.
  - apply sumn_ext. intros k Hk. unfold upd. destruct (PeanoNat.Nat.eqb_spec k d); [lia|auto].
  - unfold upd. rewrite PeanoNat.Nat.eqb_refl. auto.
Qed.

Lemma len_upd d u x : len (S d) (upd d u x) = len d u + Rabs x.
Proof. unfold len. apply (upd_sum d (fun _ y => Rabs y)). Qed.

Lemma len_upd_minus d u x v y : len (S d) (vminus (upd d u x) (upd d v y)) = len d (vminus u v) + Rabs (x - y).
Proof.
  unfold len, vminus. simpl. f_equal.
  - apply sumn_ext. intros k Hk. unfold upd. destruct (PeanoNat.Nat.eqb_spec k d); [lia|auto].
  - unfold upd. rewrite PeanoNat.Nat.eqb_refl. auto.
Qed.

Lemma len_self d u : len d (vminus u u) = 0.
Proof. unfold len, vminus. apply sumn_zero. intros. replace (u i - u i) with 0 by ring. apply Rabs_R0. Qed.

Lemma tame_section d f x : tame (S d) f -> tame d (fun u => f (upd d u x)).
Proof.
  intros (A & B & HA & HB & HG & HL). exists (A * exp (2 * B * Rabs x)), B.
  pose proof (Rabs_pos x) as Px. split; [apply Rmult_le_pos; auto; left; apply exp_pos|]. split; auto. split.
  - intros u. eapply Rle_trans; [apply HG|]. rewrite len_upd, Rmult_assoc. apply Rmult_le_compat_l; auto. rewrite <- exp_plus.
    apply exp_le_mono. assert (0 <= B * Rabs x) by (apply Rmult_le_pos; auto). lra.
  - intros u v. eapply Rle_trans; [apply HL|]. rewrite !len_upd, len_upd_minus. replace (x - x) with 0 by ring. rewrite Rabs_R0, Rplus_0_r.
    apply Rmult_le_compat_r; [apply len_nonneg|]. rewrite Rmult_assoc. apply Rmult_le_compat_l; auto. rewrite <- exp_plus.
    right. f_equal. ring.
Qed.

(** Two functions of one section differ by little. *)
Lemma section_diff d f A B x y : 0 <= A -> 0 <= B -> lips (S d) f A B ->
  forall u, Rabs (f (upd d u x) - f (upd d u y)) <= (A * exp (B * (Rabs x + Rabs y)) * Rabs (x - y)) * exp (2 * B * len d u).
Proof.
  intros HA HB HL u. eapply Rle_trans; [apply HL|]. rewrite !len_upd, len_upd_minus, len_self, Rplus_0_l.
  replace (B * (len d u + Rabs x + (len d u + Rabs y))) with (B * (Rabs x + Rabs y) + 2 * B * len d u) by ring.
  rewrite exp_plus. right. ring.
Qed.

(** The five facts, together by induction on the dimension *)
Lemma E_facts d :
  (forall f g, tame d f -> tame d g -> E d (fun u => f u + g u) = E d f + E d g) /\
  (forall c f, tame d f -> E d (fun u => c * f u) = c * E d f) /\
  (forall f g, tame d f -> tame d g -> (forall u, f u <= g u) -> E d f <= E d g) /\
  (forall f, tame (S d) f -> tame1 (fun x => E d (fun u => f (upd d u x)))).
Proof.
  assert (Step : forall d,
    (forall f g, tame d f -> tame d g -> E d (fun u => f u + g u) = E d f + E d g) ->
    (forall c f, tame d f -> E d (fun u => c * f u) = c * E d f) ->
    (forall f g, tame d f -> tame d g -> (forall u, f u <= g u) -> E d f <= E d g) ->
    (forall f, tame (S d) f -> tame1 (fun x => E d (fun u => f (upd d u x))))).
  { clear d. intros d Hp Hs Hm f Hf. pose proof Hf as (A & B & HA & HB & HG & HL).
    assert (Abs : forall h b, tame d h -> tame d b -> (forall u, Rabs (h u) <= b u) -> Rabs (E d h) <= E d b).
    { intros h b Hh Hb H. apply Rabs_le. split.
      - replace (- E d b) with (-1 * E d b) by ring. rewrite <- Hs by auto. apply Hm; auto; [apply tame_scal; auto|].
        intros u. specialize (H u). apply Rabs_le_between in H. lra.
      - apply Hm; auto. intros u. specialize (H u). apply Rabs_le_between in H. lra. }
    set (C := E d (fun u => exp (2 * B * len d u))).
    assert (HC : 0 <= C).
    { unfold C. replace 0 with (0 * E d (fun u => exp (2 * B * len d u))) by ring. rewrite <- Hs by apply tame_exp_len.
      apply Hm; [apply tame_scal, tame_exp_len|apply tame_exp_len|]. intros u. rewrite Rmult_0_l. left; apply exp_pos. }
    exists (A * C), B. split; [apply Rmult_le_pos; auto|]. split; auto. split.
    - intros x. replace (A * C * exp (B * Rabs x)) with (A * exp (B * Rabs x) * C) by ring. unfold C. rewrite <- Hs by apply tame_exp_len.
      apply Abs; [apply tame_section; auto|apply tame_scal, tame_exp_len|].
      intros u. eapply Rle_trans; [apply HG|]. rewrite len_upd, Rmult_assoc, <- exp_plus. apply Rmult_le_compat_l; auto.
      apply exp_le_mono. assert (0 <= B * len d u) by (apply Rmult_le_pos; auto; apply len_nonneg). lra.
    - intros x y.
      replace (E d (fun u => f (upd d u x)) - E d (fun u => f (upd d u y)))
        with (E d (fun u => f (upd d u x) + -1 * f (upd d u y))).
      2:{ rewrite Hp, Hs; [ring|apply tame_section; auto|apply tame_section; auto|apply tame_scal, tame_section; auto]. }
      replace (A * C * exp (B * (Rabs x + Rabs y)) * Rabs (x - y)) with (A * exp (B * (Rabs x + Rabs y)) * Rabs (x - y) * C) by ring.
      unfold C. rewrite <- Hs by apply tame_exp_len.
      apply Abs; [apply tame_plus; [apply tame_section; auto|apply tame_scal, tame_section; auto]|apply tame_scal, tame_exp_len|].
      intros u. replace (f (upd d u x) + -1 * f (upd d u y)) with (f (upd d u x) - f (upd d u y)) by ring. apply section_diff; auto. }
  induction d as [|d (Hp & Hs & Hm & Ht)].
  - assert (X := Step 0%nat). simpl in X. repeat split; intros; simpl; auto.
  - assert (Hp' : forall f g, tame (S d) f -> tame (S d) g -> E (S d) (fun u => f u + g u) = E (S d) f + E (S d) g).
    { intros f g Hf Hg. simpl. rewrite <- E1_plus by auto. f_equal. apply functional_extensionality. intros x.
      apply (Hp (fun u => f (upd d u x)) (fun u => g (upd d u x))); apply tame_section; auto. }
    assert (Hs' : forall c f, tame (S d) f -> E (S d) (fun u => c * f u) = c * E (S d) f).
    { intros c f Hf. simpl. rewrite <- E1_scal by auto. f_equal. apply functional_extensionality. intros x.
      apply (Hs c (fun u => f (upd d u x))). apply tame_section; auto. }
    assert (Hm' : forall f g, tame (S d) f -> tame (S d) g -> (forall u, f u <= g u) -> E (S d) f <= E (S d) g).
    { intros f g Hf Hg H. simpl. apply E1_le; auto. intros x. apply Hm; auto; apply tame_section; auto. }
    repeat split; auto.
Qed.

Lemma E_plus d f g : tame d f -> tame d g -> E d (fun u => f u + g u) = E d f + E d g.
Proof. apply E_facts. Qed.
Lemma E_scal d c f : tame d f -> E d (fun u => c * f u) = c * E d f.
Proof. apply E_facts. Qed.
Lemma E_le d f g : tame d f -> tame d g -> (forall u, f u <= g u) -> E d f <= E d g.
Proof. apply E_facts. Qed.
Lemma E_ext d f g : (forall u, f u = g u) -> E d f = E d g.
Proof. intros H. f_equal. apply functional_extensionality; auto. Qed.

Lemma E_minus d f g : tame d f -> tame d g -> E d (fun u => f u - g u) = E d f - E d g.
Proof.
  intros Hf Hg. rewrite (E_ext d _ (fun u => f u + -1 * g u)) by (intros; ring).
  rewrite E_plus, E_scal; auto; [ring|apply tame_scal; auto].
Qed.

Lemma E_sum d n (f : nat -> vec -> R) : (forall i, (i < n)%nat -> tame d (f i)) ->
  E d (fun u => sumn n (fun i => f i u)) = sumn n (fun i => E d (f i)).
Proof.
  induction n; intros H; simpl.
  - rewrite (E_ext d _ (fun _ => 0 * 0)) by (intros; ring). rewrite E_scal by apply tame_const. ring.
  - rewrite E_plus, IHn; auto; try (intros; apply H; lia). apply tame_sum. intros; apply H; lia.
Qed.

(** ** The moment generating function *)

(** The quadratic form of a diagonal matrix *)
Definition quad (d : nat) (S : vec) (u : vec) : R := sumn d (fun k => S k * u k ^ 2).

Lemma tame_coord d k : (k < d)%nat -> tame d (fun u => u k).
Proof.
  intros Hk. apply lip_tame. exists 1. split; [lra|]. intros u v. rewrite Rmult_1_l.
  apply (sumn_term d (fun k => Rabs (vminus u v k)) k); auto. intros; apply Rabs_pos.
Qed.

Lemma tame_dot d a : tame d (fun u => dot d a u).
Proof. apply lip_tame, lip_dot. Qed.

Lemma tame_quad d S : tame d (quad d S).
Proof.
  unfold quad. apply tame_sum. intros k Hk. apply tame_scal. simpl.
  apply (tame_mult d (fun u => u k)); [apply tame_coord; auto|].
  apply (tame_mult d (fun u => u k) (fun _ => 1)); [apply tame_coord; auto|apply tame_const].
Qed.

Lemma quad_nonneg d S u : (forall k, (k < d)%nat -> 0 <= S k) -> 0 <= quad d S u.
Proof. intros H. apply sumn_nonneg. intros k Hk. apply Rmult_le_pos; [auto|apply pow2_ge_0]. Qed.

Lemma tame_gauss d a S : (forall k, (k < d)%nat -> 0 <= S k) -> tame d (fun u => exp (dot d a u - quad d S u / 2)).
Proof.
  intros H. rewrite (functional_extensionality (fun u => exp (dot d a u - quad d S u / 2)) (fun u => exp (dot d a u) * exp (- (1 / 2) * quad d S u))).
  - apply tame_mult; [apply tame_exp, lip_dot|]. apply tame_exp_neg; [apply tame_scal, tame_quad|].
    intros u. pose proof (quad_nonneg d S u H). lra.
  - intros u. rewrite <- exp_plus. f_equal. field.
Qed.

(** The expectation of exp(<a,u> - u'Su/2) for a diagonal S that is not negative *)
Theorem E_mgf d a S : (forall k, (k < d)%nat -> 0 <= S k) ->
  E d (fun u => exp (dot d a u - quad d S u / 2)) = prodn d (fun k => exp (a k ^ 2 / (2 * (1 + S k))) / sqrt (1 + S k)).
Proof.
  intros HS. induction d.
  - simpl. unfold dot, quad; simpl. replace (0 - 0 / 2) with 0 by field. apply exp_0.
  - cbn [E prodn]. rewrite <- IHd by (intros; apply HS; lia). rewrite <- E1_mgf by (apply HS; lia).
    set (I := E d (fun u => exp (dot d a u - quad d S u / 2))).
    rewrite <- E1_scal.
    + f_equal. apply functional_extensionality. intros x. unfold I. rewrite Rmult_comm. rewrite <- E_scal by (apply tame_gauss; intros; apply HS; lia).
      apply E_ext. intros u. rewrite <- exp_plus. f_equal. unfold dot, quad.
      rewrite (upd_sum d (fun k y => a k * y)), (upd_sum d (fun k y => S k * y ^ 2)). field.
    + (* the one-dimensional function is tame: it is a section of a tame function of one vector *)
      assert (T := tame_gauss 1 (fun _ => a d) (fun _ => S d) ltac:(intros; apply HS; lia)).
      apply (proj2 (proj2 (proj2 (E_facts 0)))) in T. simpl in T. unfold dot, quad, upd in T; simpl in T.
      replace (fun x => exp (a d * x - S d * x ^ 2 / 2)) with (fun x => exp (0 + a d * x - (0 + S d * (x * (x * 1))) / 2)); auto.
      apply functional_extensionality. intros x. f_equal. field.
Qed.

(** Without the quadratic part: E exp<a,u> = exp(|a|^2/2). *)
Theorem E_exp d a : E d (fun u => exp (dot d a u)) = exp (sq d a / 2).
Proof.
  rewrite (E_ext d _ (fun u => exp (dot d a u - quad d (fun _ => 0) u / 2))).
  - rewrite E_mgf by (intros; lra). rewrite (prodn_ext d _ (fun k => exp (a k * a k / 2))).
    + rewrite prodn_exp. f_equal. unfold sq, dot, Rdiv. rewrite sumn_scal_r. auto.
    + intros k _. rewrite Rplus_0_r, sqrt_1, Rmult_1_r. unfold Rdiv at 1. rewrite Rinv_1, Rmult_1_r. f_equal. field.
  - intros u. f_equal. unfold quad. rewrite sumn_zero; [field|]. intros; ring.
Qed.

Lemma E_const d c : E d (fun _ => c) = c.
Proof.
  rewrite (E_ext d _ (fun u => c * exp (dot d (fun _ => 0) u))).
  - rewrite E_scal by (apply tame_exp, lip_dot). rewrite E_exp. replace (sq d (fun _ => 0) / 2) with 0; [rewrite exp_0; ring|].
    unfold sq, dot. rewrite sumn_zero; [field|intros; ring].
  - intros u. replace (dot d (fun _ => 0) u) with 0; [rewrite exp_0; ring|]. unfold dot. rewrite sumn_zero; auto. intros; ring.
Qed.

(** Goals [tame d f] by the closure lemmas *)
Ltac tm := solve [repeat (first [assumption | apply tame_const | apply tame_dot | apply tame_quad | match goal with
  | |- tame _ (fun u => @?f u + @?g u) => apply (tame_plus _ f g)
  | |- tame _ (fun u => @?f u - @?g u) => apply (tame_minus _ f g)
  | |- tame _ (fun u => - @?f u) => apply (tame_opp _ f)
  | |- tame _ (fun u => @?f u * @?g u) => apply (tame_mult _ f g)
  | |- tame _ (fun u => Rabs (@?f u)) => apply (tame_abs _ f)
  | |- forall _, _ => intro
  end])].
